//! What is said where the state in a cluster's folder is that of another one: the folder is a copy, or was
//! renamed. The same by every command that would act on it.
//!
//! What it must not do: advise to take anything away without the condition that it is a copy. Whoever renamed
//! a folder has one with all data in it.

use super::{Global, word};
use crate::{cluster::lost::Elsewhere, failure::Failure};

/// Why nothing is done with a folder whose state is of the cluster `of`, and where that runs if it is known.
pub fn refused(global: &Global, of: &str, runs: Option<&Elsewhere>) -> Failure {
    let layout = global.layout();
    let (place, down) = match runs {
        Some(other) => {
            let (place, down) = running(of, other);
            (format!(" that runs {place}"), down)
        }
        None => (String::new(), format!("tiphys down --cluster {of}")),
    };
    Failure::new(
        format!("{} is of the cluster {of:?}{place}, which is not touched", layout.state().display()),
        format!("{down} if that is the one; or rm -r {} if this is a copy", word(layout.root())),
    )
}

/// Where a cluster of this name runs, and how that one is taken down.
pub fn running(name: &str, other: &Elsewhere) -> (String, String) {
    match other {
        Elsewhere::Folder(root) => {
            let home = root.parent().unwrap_or(root);
            let down = format!("tiphys down --cluster {name} --home {}", word(home));
            (format!("in {}", root.display()), down)
        }
        Elsewhere::Unseen => (
            "where this process doesn't see it, as in a container".to_owned(),
            format!("tiphys down --cluster {name} where that one was started"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_the_state_is_and_what_to_do_is_said() {
        let global = Global { cluster: "demo".to_owned(), home: "/a".into() };
        let check = |of: &str, runs: Option<Elsewhere>, place: &str, down: &str| {
            let told = refused(&global, of, runs.as_ref());
            let whose = format!("/a/demo/cluster.json is of the cluster {of:?}{place}");
            assert_eq!(told.message(), format!("{whose}, which is not touched"));
            let next = format!("tiphys down --cluster {down} if that is the one; or rm -r /a/demo");
            assert_eq!(told.next(), format!("{next} if this is a copy"));
        };
        check("first", None, "", "first");
        let folder = Some(Elsewhere::Folder("/b c/demo".into()));
        check("demo", folder, " that runs in /b c/demo", "demo --home '/b c'");
        let place = " that runs where this process doesn't see it, as in a container";
        check("demo", Some(Elsewhere::Unseen), place, "demo where that one was started");
    }
}
