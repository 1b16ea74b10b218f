//! A report as a table.

use super::Value;
use super::select::Selection;
use crate::cli::report_args::ReportArgs;

/// Two spaces, then the cells: numbers to the right, words to the left, as LVM does.
pub(super) fn table(
    selection: &Selection,
    values: &[Vec<Value>],
    cells: &[Vec<String>],
    args: &ReportArgs,
) -> String {
    if args.nameprefixes {
        return prefixed(selection, cells, args);
    }
    let headings: Vec<&str> = selection.shown.iter().map(|f| f.heading).collect();
    let aligned = args.separator.is_none() || args.aligned;
    let separator = args.separator.as_deref().unwrap_or(" ");
    let columns = 0..headings.len();
    let width: Vec<usize> = columns
        .clone()
        .map(|column| {
            let heading = if args.noheadings { 0 } else { headings[column].chars().count() };
            cells.iter().map(|row| row[column].chars().count()).fold(heading, usize::max)
        })
        .collect();
    let right: Vec<bool> = columns
        .map(|column| {
            values.iter().any(|row| {
                matches!(row[column], Value::Number(_) | Value::Size(_) | Value::Percent(_))
            })
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>, heading: bool| {
        let padded: Vec<String> = cells
            .enumerate()
            .map(|(column, cell)| match (aligned, right[column] && !heading, width[column]) {
                (false, ..) => cell.to_owned(),
                (true, true, w) => format!("{cell:>w$}"),
                (true, false, w) => format!("{cell:<w$}"),
            })
            .collect();
        text.push_str(format!("  {}", padded.join(separator)).trim_end());
        text.push('\n');
    };
    if cells.is_empty() {
        return String::new();
    }
    if !args.noheadings {
        line(&mut headings.iter().copied(), true);
    }
    for row in cells {
        line(&mut row.iter().map(String::as_str), false);
    }
    text
}

/// A line for each field: its heading, then its value in each row.
pub(super) fn transposed(
    selection: &Selection,
    cells: &[Vec<String>],
    args: &ReportArgs,
) -> String {
    let separator = args.separator.as_deref().unwrap_or(" ");
    let mut text = String::new();
    for (column, field) in selection.shown.iter().enumerate() {
        let heading = (!args.noheadings).then_some(field.heading);
        let values = cells.iter().map(|row| row[column].as_str());
        let words: Vec<&str> = heading.into_iter().chain(values).collect();
        text.push_str(&format!("  {}\n", words.join(separator)));
    }
    text
}

/// `LVM2_LV_NAME='home'`, for a shell to take in.
fn prefixed(selection: &Selection, cells: &[Vec<String>], args: &ReportArgs) -> String {
    let separator = args.separator.as_deref().unwrap_or(" ");
    let mark = if args.unquoted { "" } else { "'" };
    let line = |row: &Vec<String>| {
        let pairs: Vec<String> = selection
            .shown
            .iter()
            .zip(row)
            .map(|(field, cell)| {
                format!("LVM2_{}={mark}{cell}{mark}", field.name.to_ascii_uppercase())
            })
            .collect();
        format!("  {}\n", pairs.join(separator))
    };
    cells.iter().map(line).collect()
}
