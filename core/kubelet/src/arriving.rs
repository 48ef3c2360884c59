//! Images that are being brought into the node's store while Pods may ask for
//! them already: the node's own, which a fresh node imports beside its start.
//!
//! Without this a Pod that is early would try a registry, which can't have them.

use std::sync::Arc;

use tokio::sync::watch;

/// The names on their way. Clones share them; the default has none.
#[derive(Clone, Default)]
pub struct Arriving(Option<Arc<Names>>);

struct Names {
    names: Vec<String>,
    there: watch::Receiver<()>,
}

/// Held by whoever brings the images; dropping it ends the wait, however it went.
pub struct Arrival {
    _waiting: watch::Sender<()>,
}

impl Arriving {
    /// `names` as Pods write them, such as `tiphys.io/tiphys:current`.
    pub fn new(names: Vec<String>) -> (Self, Arrival) {
        let (sender, there) = watch::channel(());
        (Self(Some(Arc::new(Names { names, there }))), Arrival { _waiting: sender })
    }

    /// Waits while the image is on its way; returns at once for any other.
    pub async fn wait(&self, name: &str) {
        let Some(arriving) = self.0.as_ref().filter(|arriving| arriving.names.iter().any(|own| own == name))
        else {
            return;
        };
        let mut there = arriving.there.clone();
        // Nothing is ever sent: the only change is that the sender goes.
        while there.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn only_who_asks_for_an_image_on_its_way_waits() {
        let (arriving, arrival) = Arriving::new(vec!["own:1".to_owned()]);
        assert!(arriving.wait("other:1").now_or_never().is_some());
        assert!(Arriving::default().wait("own:1").now_or_never().is_some());
        assert!(arriving.wait("own:1").now_or_never().is_none());
        drop(arrival);
        assert!(arriving.wait("own:1").now_or_never().is_some());
    }
}
