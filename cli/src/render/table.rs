//! Tables without borders, columns three spaces apart.

use comfy_table::Table;
use comfy_table::presets;

/// A table of one line per row under `header`. Whatever would break a row out of its line, or
/// write over it on a terminal, becomes a space.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.map(str::to_owned).to_vec());
    for row in rows {
        table.add_row(row.map(|cell| one_line(&cell)).to_vec());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Pairs of what and its value, for a single object.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let line = |(key, value): &(&str, String)| {
        let pad = width - key.len() + 2;
        format!("{key}:{:pad$}{}", "", one_line(value))
            .trim_end()
            .to_owned()
    };
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A text without control characters.
pub(super) fn one_line(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// First letter in upper case, as people write states.
pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [
            ["a".to_owned(), "long value".to_owned(), "x".to_owned()],
            ["bbb".to_owned(), "v".to_owned(), String::new()],
        ];
        assert_eq!(
            table(["ID", "NAME", "LAST"], rows),
            "ID    NAME         LAST\n\
             a     long value   x\n\
             bbb   v"
        );
    }

    #[test]
    fn a_table_of_nothing_is_its_header() {
        assert_eq!(table(["ID", "NAME"], []), "ID   NAME");
    }

    #[test]
    fn what_a_task_wrote_cannot_draw_on_the_terminal() {
        let rows = [["first\nsecond\x1b[2Jthird\n".to_owned()]];
        assert_eq!(table(["ERROR"], rows), "ERROR\nfirst second [2Jthird");
    }

    #[test]
    fn values_line_up_behind_their_keys() {
        let rows = [("ID", "x".to_owned()), ("Name", "web".to_owned())];
        assert_eq!(pairs(&rows), "ID:    x\nName:  web");
    }
}
