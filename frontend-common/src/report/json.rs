//! A report as LVM's JSON: every value a string, rows under the name of what they are.

use serde::Serialize;

use super::Value;
use super::select::Selection;

use crate::error::Error;

/// What was said beside the report: warnings and errors.
#[derive(Debug, Default)]
pub struct Log(pub Vec<LogLine>);

/// One warning or error.
#[derive(Debug, Serialize)]
pub struct LogLine {
    /// `warning` or `error`.
    pub log_type: &'static str,
    /// The sentence.
    pub log_message: String,
    /// The stable kind, the device and so on, where it is an error.
    #[serde(flatten)]
    pub error: Option<ErrorJson>,
}

/// An [`Error`] for programs.
#[derive(Debug, Serialize)]
pub struct ErrorJson {
    kind: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sectors: Vec<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    exit_status: u8,
}

impl From<&Error> for ErrorJson {
    fn from(error: &Error) -> ErrorJson {
        ErrorJson {
            kind: error.kind.word(),
            what: error.what.clone(),
            device: error.device.clone(),
            // First and last, as the text has them.
            sectors: error.sectors.iter().map(|r| [r.start, r.end.saturating_sub(1)]).collect(),
            cause: error.source.as_ref().map(ToString::to_string),
            state: error.state.clone(),
            next: error.next.clone(),
            exit_status: error.exit_status(),
        }
    }
}

impl Log {
    /// Adds a warning.
    pub fn warning(&mut self, message: impl Into<String>) {
        self.0.push(LogLine { log_type: "warning", log_message: message.into(), error: None });
    }

    /// Adds an error.
    pub fn error(&mut self, error: &Error) {
        self.0.push(LogLine {
            log_type: "error",
            log_message: error.what.clone(),
            error: Some(error.into()),
        });
    }

    /// A report document without a report, for a command that could not make one.
    #[must_use]
    pub fn document(&self) -> String {
        let mut text = String::from("  {\n      \"report\": [\n      ]");
        self.write(&mut text);
        text.push_str("\n  }\n");
        text
    }

    fn write(&self, text: &mut String) {
        if self.0.is_empty() {
            return;
        }
        let lines: Vec<String> =
            self.0.iter().map(|line| format!("          {}", to_json(line))).collect();
        text.push_str(",\n      \"log\": [\n");
        text.push_str(&lines.join(",\n"));
        text.push_str("\n      ]");
    }
}

/// Our values are strings, numbers and lists of them: writing them cannot fail.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// One list of rows, under the name of what they are.
pub(super) fn part(
    selection: &Selection,
    values: &[Vec<Value>],
    cells: &[Vec<String>],
    standard: bool,
) -> String {
    let row = |(row, cells): (&Vec<Value>, &Vec<String>)| {
        let pairs: Vec<String> = selection
            .shown
            .iter()
            .zip(row.iter().zip(cells))
            .map(|(field, (value, cell))| {
                let cell =
                    if standard { standard_json(field.name, value, cell) } else { to_json(cell) };
                format!("{}:{cell}", to_json(&field.name))
            })
            .collect();
        format!("                  {{{}}}", pairs.join(", "))
    };
    let rows: Vec<String> = values.iter().zip(cells).map(row).collect();
    let mut text = format!("              {}: [\n", to_json(&selection.key));
    if !rows.is_empty() {
        text.push_str(&rows.join(",\n"));
        text.push('\n');
    }
    text.push_str("              ]");
    text
}

/// `json_std`: numbers as numbers, lists as lists, nothing as null.
fn standard_json(name: &str, value: &Value, cell: &str) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Percent(_) => cell.to_owned(),
        Value::Size(_) if cell.bytes().all(|b| b.is_ascii_digit()) && !cell.is_empty() => {
            cell.to_owned()
        }
        _ if name.ends_with("_tags") => {
            let words: Vec<&str> = cell.split(',').filter(|word| !word.is_empty()).collect();
            to_json(&words)
        }
        _ => to_json(&cell),
    }
}

/// The whole document, laid out as LVM lays it out: one row a line. Each report may have several parts.
pub(super) fn document(reports: &[Vec<String>], log: &Log) -> String {
    let reports: Vec<String> = reports
        .iter()
        .map(|parts| format!("          {{\n{}\n          }}", parts.join(",\n")))
        .collect();
    let mut text = format!("  {{\n      \"report\": [\n{}\n      ]", reports.join(",\n"));
    log.write(&mut text);
    text.push_str("\n  }\n");
    text
}
