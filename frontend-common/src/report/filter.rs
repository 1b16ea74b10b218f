//! `-S`: which rows are shown. LVM's selection: comparisons of fields, joined by `&&` `,` `||` `#`, turned
//! round by `!`, in parentheses.

use regex::Regex;

use super::Value;
use super::fields::Field;
use crate::error::{Error, Kind, Result};
use crate::size::Size;

/// A selection, read.
#[derive(Debug)]
pub(super) enum Filter {
    All,
    Is(usize, Compare, Wanted),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Matches,
    MatchesNot,
}

/// With what.
#[derive(Debug)]
pub(super) enum Wanted {
    Text(String),
    Pattern(Box<Regex>),
}

/// Signs, the longer ones first.
const COMPARES: &[(&str, Compare)] = &[
    ("=~", Compare::Matches),
    ("!~", Compare::MatchesNot),
    ("!=", Compare::NotEqual),
    (">=", Compare::GreaterOrEqual),
    ("<=", Compare::LessOrEqual),
    ("=", Compare::Equal),
    (">", Compare::Greater),
    ("<", Compare::Less),
];

/// Deeper than a person writes.
const DEPTH: u32 = 32;

pub(super) struct Parser<'t> {
    rest: &'t str,
    depth: u32,
    /// The fields that are named, each once, in order.
    pub(super) fields: Vec<&'static Field>,
}

impl<'t> Parser<'t> {
    /// Reads `text`; `find` knows the fields.
    pub(super) fn read(
        text: &'t str,
        find: &dyn Fn(&str) -> Result<&'static Field>,
    ) -> Result<(Filter, Vec<&'static Field>)> {
        let mut parser = Parser { rest: text.trim(), depth: 0, fields: Vec::new() };
        if parser.rest.is_empty() || parser.rest == "all" {
            return Ok((Filter::All, Vec::new()));
        }
        let filter = parser.any(find)?;
        if !parser.rest.is_empty() {
            return Err(wrong(format!("`{}` is left over", parser.rest)));
        }
        Ok((filter, parser.fields))
    }

    fn take(&mut self, signs: &[&str]) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = signs.iter().find_map(|sign| self.rest.strip_prefix(sign)) else {
            return false;
        };
        self.rest = rest.trim_start();
        true
    }

    fn any(&mut self, find: &dyn Fn(&str) -> Result<&'static Field>) -> Result<Filter> {
        let mut all = vec![self.both(find)?];
        while self.take(&["||", "#"]) {
            all.push(self.both(find)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::Or(all) })
    }

    fn both(&mut self, find: &dyn Fn(&str) -> Result<&'static Field>) -> Result<Filter> {
        let mut all = vec![self.one(find)?];
        while self.take(&["&&", ","]) {
            all.push(self.one(find)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn one(&mut self, find: &dyn Fn(&str) -> Result<&'static Field>) -> Result<Filter> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(wrong("too many parentheses"));
        }
        let filter = if self.take(&["!"]) {
            Filter::Not(Box::new(self.one(find)?))
        } else if self.take(&["("]) {
            let inner = self.any(find)?;
            if !self.take(&[")"]) {
                return Err(wrong("a parenthesis is not closed"));
            }
            inner
        } else {
            self.comparison(find)?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self, find: &dyn Fn(&str) -> Result<&'static Field>) -> Result<Filter> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if name.is_empty() {
            return Err(wrong(format!("a field was expected before `{}`", self.rest)));
        }
        let field = find(name)?;
        self.rest = rest.trim_start();
        let sign = COMPARES.iter().find(|(sign, _)| self.rest.starts_with(sign));
        let (sign, compare) =
            *sign.ok_or_else(|| wrong(format!("what is {name} compared with?")))?;
        self.rest = self.rest.get(sign.len()..).unwrap_or_default().trim_start();
        let text = self.value()?;
        let wanted = match compare {
            Compare::Matches | Compare::MatchesNot => {
                let pattern = Regex::new(&text).map_err(|error| wrong(error.to_string()))?;
                Wanted::Pattern(Box::new(pattern))
            }
            _ => Wanted::Text(text),
        };
        let at = self.fields.iter().position(|known| known.name == field.name);
        let at = at.unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        Ok(Filter::Is(at, compare, wanted))
    }

    /// A word, or anything in quotation marks.
    fn value(&mut self) -> Result<String> {
        if let Some(mark) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let inner = self.rest.get(1..).unwrap_or_default();
            let (text, rest) =
                inner.split_once(mark).ok_or_else(|| wrong("a quotation mark is not closed"))?;
            self.rest = rest;
            return Ok(text.to_owned());
        }
        let ends = |c: char| c.is_whitespace() || ",&|#)".contains(c);
        let (text, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        Ok(text.to_owned())
    }
}

impl Filter {
    /// Whether a row is shown; `values` are those of the fields named, in their order.
    pub(super) fn passes(&self, values: &[Value]) -> bool {
        match self {
            Filter::All => true,
            Filter::Is(at, compare, wanted) => {
                values.get(*at).is_some_and(|value| holds(value, *compare, wanted))
            }
            Filter::Not(inner) => !inner.passes(values),
            Filter::And(all) => all.iter().all(|filter| filter.passes(values)),
            Filter::Or(all) => all.iter().any(|filter| filter.passes(values)),
        }
    }
}

fn holds(value: &Value, compare: Compare, wanted: &Wanted) -> bool {
    let text = value.show(crate::size::Units::default().without_suffix());
    let wanted = match wanted {
        Wanted::Pattern(pattern) => {
            return pattern.is_match(&text) == (compare == Compare::Matches);
        }
        Wanted::Text(wanted) => wanted,
    };
    let order = match value {
        Value::Size(size) => wanted.parse::<Size>().ok().map(|wanted| size.cmp(&wanted.0)),
        Value::Number(number) => wanted.parse::<i64>().ok().map(|wanted| number.cmp(&wanted)),
        Value::Percent(percent) => {
            wanted.parse::<f64>().ok().and_then(|wanted| percent.partial_cmp(&wanted))
        }
        Value::Empty | Value::Text(_) => Some(text.as_str().cmp(unset(wanted))),
        Value::Word(_) => Some(truth(&text, wanted)),
    };
    let Some(order) = order else { return compare == Compare::NotEqual };
    match compare {
        Compare::Equal => order.is_eq(),
        Compare::NotEqual => order.is_ne(),
        Compare::Greater => order.is_gt(),
        Compare::GreaterOrEqual => order.is_ge(),
        Compare::Less => order.is_lt(),
        Compare::LessOrEqual => order.is_le(),
        Compare::Matches | Compare::MatchesNot => false,
    }
}

fn unset(wanted: &str) -> &str {
    if wanted == "undefined" || wanted == "undef" { "" } else { wanted }
}

/// A word that is there or not is also 1 or 0.
fn truth(text: &str, wanted: &str) -> std::cmp::Ordering {
    match wanted {
        "0" => text.is_empty().cmp(&true),
        "1" => text.is_empty().cmp(&false),
        _ => text.cmp(unset(wanted)),
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(Kind::Usage, format!("Failed to parse selection: {}", what.into()))
        .next("for instance -S 'lv_active=active && lv_size>1g'")
}
