//! Reads the Prometheus text format as strictly as Prometheus does, and says what a test expects
//! of it: `metric("mcp_tool_calls_total").label("server", "s").value(1).assert_in(&text)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One line of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with `_bucket`, `_sum` or `_count` where there is one.
    pub name: String,
    /// The labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// What a test expects of one or several samples.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an expectation asserts nothing by itself"]
pub struct Expected {
    name: String,
    labels: BTreeMap<String, String>,
    value: Option<f64>,
}

/// The samples of that name.
pub fn metric(name: &str) -> Expected {
    Expected { name: name.to_owned(), labels: BTreeMap::new(), value: None }
}

/// Every sample of an exposition.
///
/// # Panics
/// When a line is neither a comment nor a sample, or when two samples have the same name and
/// labels.
pub fn samples(text: &str) -> Vec<Sample> {
    assert!(text.is_empty() || text.ends_with('\n'), "the exposition breaks off");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let samples: Vec<_> = lines
        .map(|line| sample(line).unwrap_or_else(|| panic!("this is no sample: {line:?}")))
        .collect();
    let mut seen = BTreeSet::new();
    for sample in &samples {
        assert!(seen.insert((&sample.name, &sample.labels)), "{sample} stands twice");
    }
    samples
}

impl Expected {
    /// Only those with this label; other labels may have any value.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Only those with this value.
    pub fn value(mut self, value: impl Into<f64>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// # Panics
    /// When there is no such sample.
    #[track_caller]
    pub fn assert_in(&self, text: &str) {
        assert!(!self.find(text).is_empty(), "no {self} among\n{}", self.namesakes(text));
    }

    /// # Panics
    /// When there is such a sample.
    #[track_caller]
    pub fn assert_absent_in(&self, text: &str) {
        assert!(self.find(text).is_empty(), "there is {self} among\n{}", self.namesakes(text));
    }

    /// The samples that are as expected.
    ///
    /// # Panics
    /// When the text is no exposition.
    pub fn find(&self, text: &str) -> Vec<Sample> {
        let as_expected = |sample: &Sample| {
            sample.name == self.name
                && self.labels.iter().all(|(name, value)| sample.labels.get(name) == Some(value))
                && self.value.is_none_or(|value| sample.value == value)
        };
        samples(text).into_iter().filter(as_expected).collect()
    }

    /// The sum of their values.
    ///
    /// # Panics
    /// When the text is no exposition.
    pub fn sum_in(&self, text: &str) -> f64 {
        self.find(text).iter().map(|sample| sample.value).sum()
    }

    fn namesakes(&self, text: &str) -> String {
        let named = samples(text).into_iter().filter(|sample| sample.name == self.name);
        named.map(|sample| format!("  {sample}\n")).collect()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} {}", self.name, self.labels, self.value)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.labels)?;
        self.value.map_or(Ok(()), |value| write!(f, " {value}"))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // A timestamp would be a second word; we expose none.
    let value = rest.strip_prefix(' ')?;
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().ok()? };
    is_name(name).then(|| Sample { name: name.to_owned(), labels, value })
}

/// The labels up to the closing brace, and what stands behind it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquote(quoted)?;
        let twice = labels.insert(name.to_owned(), value);
        if !is_name(name) || twice.is_some() {
            return None;
        }
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
}

/// The text up to the closing quote, and what stands behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((place, char)) = chars.next() {
        match char {
            '"' => return Some((text, &quoted[place + 1..])),
            '\\' => text.push(match chars.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            _ => text.push(char),
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP calls Calls.\n# TYPE calls counter\n\
        calls{server=\"s\",tool=\"a \\\"b\\\" \\\\ {c} \\n\"} 3\n\
        calls{server=\"s\",tool=\"d\"} 4\ncalls_bucket{le=\"+Inf\"} +Inf\nup 1\n";

    #[test]
    fn samples_are_found_by_name_labels_and_value() {
        let calls = metric("calls").label("server", "s");
        assert_eq!(calls.sum_in(TEXT), 7.0);
        calls.clone().label("tool", "a \"b\" \\ {c} \n").value(3).assert_in(TEXT);
        calls.clone().value(5).assert_absent_in(TEXT);
        metric("up").value(1).assert_in(TEXT);
        metric("calls_bucket").label("le", "+Inf").value(f64::INFINITY).assert_in(TEXT);
    }

    #[test]
    #[should_panic(expected = "no up{} 2 among\n  up{} 1\n")]
    fn a_failure_shows_what_is_there() {
        metric("up").value(2).assert_in(TEXT);
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for line in ["a", "a{", "a{b=\"c} 1", "a{b=\"\\x\"} 1", "1a 1", "a{b=\"\",b=\"\"} 1", "a x"]
        {
            assert_eq!(sample(line), None, "{line}");
        }
    }

    #[test]
    #[should_panic(expected = "a{} 2 stands twice")]
    fn a_sample_may_not_stand_twice() {
        samples("a 1\na 2\n");
    }
}
