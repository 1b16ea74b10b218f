//! LVM2's text format as a tree, and back: sections, keys, values. It knows nothing of volumes.
//!
//! What is not understood is kept: a number keeps its digits as they were, a key its place. Comments and
//! layout have no meaning to LVM2 and go (LVM2 writes its own).

use std::fmt::{self, Write as _};

/// How deep sections may nest; LVM2's own metadata go to four.
const MAX_DEPTH: usize = 16;

/// One thing in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `name { ... }`
    Section(Section),
    /// `key = value`
    Value(String, Value),
}

/// What a key can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string, without its quotes and backslashes.
    Text(String),
    /// A number, as it was written.
    Number(String),
    /// `[a, b, ...]`
    List(Vec<Value>),
}

/// A named run of nodes, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Its name; that of the whole text is empty.
    pub name: String,
    /// What is in it.
    pub nodes: Vec<Node>,
}

/// Why a text is none of LVM2's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

impl Section {
    /// Reads a whole text.
    ///
    /// # Errors
    /// Where it stops being LVM2's format.
    pub fn parse(text: &str) -> Result<Section, ParseError> {
        let mut reader = Reader { rest: text, line: 1 };
        let nodes = reader.nodes(0)?;
        Ok(Section { name: String::new(), nodes })
    }

    /// The section of this name in it.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections().find(|section| section.name == name)
    }

    /// The same, to change it.
    pub fn section_mut(&mut self, name: &str) -> Option<&mut Section> {
        self.nodes.iter_mut().find_map(|node| match node {
            Node::Section(section) if section.name == name => Some(section),
            _ => None,
        })
    }

    /// All sections in it, in their order.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Section(section) => Some(section),
            Node::Value(..) => None,
        })
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.nodes.iter().find_map(|node| match node {
            Node::Value(name, value) if name == key => Some(value),
            _ => None,
        })
    }

    /// The text of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a key, if it is one that is not negative and fits.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The texts of a list, which LVM2 also writes as one text alone; empty where there is no such key.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<&str> {
        fn text(value: &Value) -> Option<&str> {
            match value {
                Value::Text(text) => Some(text),
                _ => None,
            }
        }
        match self.value(key) {
            Some(Value::List(values)) => values.iter().filter_map(text).collect(),
            Some(value) => text(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Gives a key a value, in its place, or behind the other keys and before the sections.
    pub fn set(&mut self, key: &str, value: Value) {
        for node in &mut self.nodes {
            if let Node::Value(name, old) = node
                && name == key
            {
                *old = value;
                return;
            }
        }
        let at = self.nodes.iter().position(|node| matches!(node, Node::Section(_)));
        let node = Node::Value(key.to_owned(), value);
        self.nodes.insert(at.unwrap_or(self.nodes.len()), node);
    }

    /// Takes a key away, if it is there.
    pub fn unset(&mut self, key: &str) {
        self.nodes.retain(|node| !matches!(node, Node::Value(name, _) if name == key));
    }

    /// Takes the sections of these names away.
    pub fn drop_sections(&mut self, unwanted: impl Fn(&str) -> bool) {
        self.nodes.retain(|node| !matches!(node, Node::Section(s) if unwanted(&s.name)));
    }

    fn print(&self, out: &mut String, depth: usize) {
        for node in &self.nodes {
            let indent = "\t".repeat(depth);
            match node {
                Node::Value(key, value) => {
                    let _ = writeln!(out, "{indent}{key} = {value}");
                }
                Node::Section(section) => {
                    let _ = writeln!(out, "{indent}{} {{", section.name);
                    section.print(out, depth + 1);
                    let _ = writeln!(out, "{indent}}}");
                }
            }
        }
    }
}

impl fmt::Display for Section {
    /// The text of what is in it, as LVM2 reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.print(&mut out, 0);
        f.write_str(&out)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            Value::Number(digits) => f.write_str(digits),
            Value::List(values) => {
                f.write_char('[')?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number.to_string())
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn wrong<T>(&self, what: &'static str) -> Result<T, ParseError> {
        Err(ParseError { line: self.line, what })
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// The next character that is no space and in no comment.
    fn peek(&mut self) -> Option<char> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if !self.rest.starts_with('#') {
                return self.rest.chars().next();
            }
            let comment = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(comment);
        }
    }

    /// Up to the `}` of the section, or the end of the text.
    fn nodes(&mut self, depth: usize) -> Result<Vec<Node>, ParseError> {
        if depth > MAX_DEPTH {
            return self.wrong("sections nest too deep");
        }
        let mut nodes: Vec<Node> = Vec::new();
        loop {
            match self.peek() {
                None if depth == 0 => return Ok(nodes),
                None => return self.wrong("the text ends in a section"),
                Some('}') if depth > 0 => {
                    self.take(1);
                    return Ok(nodes);
                }
                Some(_) => {}
            }
            let name = self.word(|c| !c.is_whitespace() && !"={}[]\"#,".contains(c)).to_owned();
            if name.is_empty() {
                return self.wrong("a name was expected");
            }
            let twice = nodes.iter().any(|node| match node {
                Node::Section(section) => section.name == name,
                Node::Value(key, _) => *key == name,
            });
            if twice {
                return self.wrong("a name stands there twice");
            }
            match self.peek() {
                Some('{') => {
                    self.take(1);
                    let nodes_inside = self.nodes(depth + 1)?;
                    nodes.push(Node::Section(Section { name, nodes: nodes_inside }));
                }
                Some('=') => {
                    self.take(1);
                    let value = self.value(true)?;
                    nodes.push(Node::Value(name, value));
                }
                _ => return self.wrong("`=` or `{` was expected"),
            }
        }
    }

    fn value(&mut self, may_be_list: bool) -> Result<Value, ParseError> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some('[') if may_be_list => {
                self.take(1);
                let mut values = Vec::new();
                loop {
                    if self.peek() == Some(']') {
                        self.take(1);
                        return Ok(Value::List(values));
                    }
                    values.push(self.value(false)?);
                    match self.peek() {
                        Some(',') => drop(self.take(1)),
                        Some(']') => {}
                        _ => return self.wrong("`,` or `]` was expected"),
                    }
                }
            }
            Some('-' | '+' | '.' | '0'..='9') => {
                let digits = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                Ok(Value::Number(digits.to_owned()))
            }
            _ => self.wrong("a value was expected"),
        }
    }

    fn quoted(&mut self) -> Result<Value, ParseError> {
        self.take(1);
        let mut text = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if escaped => {
                    text.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.take(at + 1);
                    return Ok(Value::Text(text));
                }
                _ => text.push(c),
            }
        }
        self.wrong("a string does not end")
    }

    fn word(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        self.take(end)
    }
}
