//! Rows with each value on a line of its own, for rows that are wider than a terminal. Pure.

use std::fmt::Write;

/// The rows, written so; bare, without the lines that number them.
pub fn shown(names: &[&str], rows: &[Vec<String>], bare: bool) -> String {
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        match (bare, number) {
            (true, 0) => {}
            (true, _) => text.push('\n'),
            (false, _) => {
                let _ = writeln!(text, "-[ RECORD {} ]{}", number + 1, "-".repeat(width));
            }
        }
        for (name, value) in names.iter().zip(row) {
            let gap = " ".repeat(width - name.chars().count());
            // Further lines stand below the first one.
            let value = value.replace('\n', &format!("\n{} | ", " ".repeat(width)));
            let _ = writeln!(text, "{name}{gap} | {value}");
        }
    }
    if rows.is_empty() && !bare {
        text.push_str("(0 rows)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn values_stand_below_each_other() {
        let rows = [["1", "x\ny"], ["", "z"]].map(|row| row.map(str::to_owned).to_vec());
        let expected =
            "-[ RECORD 1 ]----\na    | 1\nbody | x\n     | y\n-[ RECORD 2 ]----\na    | \nbody | z\n";
        assert_eq!(shown(&["a", "body"], &rows, false), expected);
        let bare = "a    | 1\nbody | x\n     | y\n\na    | \nbody | z\n";
        assert_eq!(shown(&["a", "body"], &rows, true), bare);
        assert_eq!(shown(&["a"], &[], false), "(0 rows)\n");
        assert_eq!(shown(&["a"], &[], true), "");
    }
}
