//! JSON with comments and trailing commas, read with the place of every value in the text.
//!
//! A configuration is edited as text, so that comments, unknown keys, order and blanks stay as
//! their owner wrote them; for that only places are needed.

use std::ops::Range;

/// Deeper than any configuration, and shallow enough for the stack.
const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Text(String),
    /// A number, a truth value or null.
    Other,
}

/// A key with its value; `at` is where the key begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) value: Node,
}

/// A text that is no JSON, not even with comments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}")]
pub struct Unreadable {
    line: usize,
    column: usize,
    expected: &'static str,
}

impl Node {
    /// The members of an object, none of anything else.
    pub(super) fn members(&self) -> &[Member] {
        if let Value::Object(members) = &self.value { members } else { &[] }
    }

    /// The members with this key: more than one when the text repeats it.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members().iter().filter(move |member| member.key == key)
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }
}

/// Reads the whole of `text`.
pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let mut reader = Reader { text, at: 0 };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let node = reader.value(0)?;
    reader.blank()?;
    if reader.at == text.len() { Ok(node) } else { Err(reader.wants("the end of the file")) }
}

/// Where blanks and comments end that begin at `at`.
pub(super) fn skip_blank(text: &str, at: usize) -> Option<usize> {
    let mut reader = Reader { text, at };
    reader.blank().ok().map(|()| reader.at)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wants(&self, expected: &'static str) -> Unreadable {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Unreadable { line, column, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn blank(&mut self) -> Result<(), Unreadable> {
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with([' ', '\t', '\r', '\n']) {
                self.at += 1;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| self.wants("an end of this comment"))?;
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Unreadable> {
        self.blank()?;
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(self.wants("fewer values within values"));
        }
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            _ => self.other()?,
        };
        Ok(Node { span: start..self.at, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.blank()?;
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.wants("a key in quotes, or `}`"));
            }
            let key = self.string()?;
            self.blank()?;
            if !self.take(b':') {
                return Err(self.wants("`:`"));
            }
            let value = self.value(depth + 1)?;
            members.push(Member { at, key, value });
            self.blank()?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err(self.wants("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            self.blank()?;
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            elements.push(self.value(depth + 1)?);
            self.blank()?;
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err(self.wants("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Unreadable> {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let end = end.ok_or_else(|| self.wants("an end of this text"))? + 2;
        let text = serde_json::from_str(&rest[..end]);
        let text = text.map_err(|_| self.wants("a text without bare line breaks and unknown `\\`"));
        self.at += end;
        text
    }

    fn other(&mut self) -> Result<Value, Unreadable> {
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || ['-', '+', '.'].contains(&c);
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if serde_json::from_str::<serde::de::IgnoredAny>(&rest[..end]).is_err() {
            return Err(self.wants("a value"));
        }
        self.at += end;
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_read_over_and_places_are_exact() {
        let text = "\u{feff}// a\n{ /* b { */ \"k\\u0041\" : [1, \"x\\\"]\", null,], }\n// end";
        let node = parse(text).unwrap();
        let member = &node.members()[0];
        assert_eq!(member.key, "kA");
        assert_eq!(&text[member.value.span.clone()], r#"[1, "x\"]", null,]"#);
        let Value::Array(elements) = &member.value.value else { panic!("{member:?}") };
        let texts: Vec<_> = elements.iter().map(|e| &text[e.span.clone()]).collect();
        assert_eq!(texts, ["1", r#""x\"]""#, "null"]);
        assert_eq!(elements[1].text(), Some("x\"]"));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let cases = [
            ("", "line 1, column 1: expected a value"),
            ("{\n  a: 1}", "line 2, column 3: expected a key in quotes, or `}`"),
            ("{\"a\" 1}", "line 1, column 6: expected `:`"),
            ("{\"a\": 1 \"b\": 2}", "line 1, column 9: expected `,` or `}`"),
            ("[1 2]", "line 1, column 4: expected `,` or `]`"),
            ("{} x", "line 1, column 4: expected the end of the file"),
            ("/* a", "line 1, column 1: expected an end of this comment"),
            ("\"a", "line 1, column 1: expected an end of this text"),
            ("[nul]", "line 1, column 2: expected a value"),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(parse(&deep).unwrap_err().to_string().contains("fewer values"));
    }
}
