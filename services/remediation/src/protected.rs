//! What repairs depend on themselves and therefore never touch: remediation, the monitor that
//! verifies, and Redis that says who may act.

/// Words that mark a name as protected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protected(Vec<String>);

impl Protected {
    /// What is protected where nobody says otherwise.
    pub const DEFAULT: [&str; 6] = [
        "remediation",
        "mcp-remediation",
        "health-monitor",
        "mcp-health-monitor",
        "redis",
        "redis-server",
    ];

    #[must_use]
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().filter(|word| !word.is_empty()).collect())
    }

    /// One more, such as the address of the monitor.
    pub(crate) fn add(&mut self, word: String) {
        if !word.is_empty() {
            self.0.push(word);
        }
    }

    /// The word that stands in `name` by itself: at both ends of it the name ends, or has something
    /// that is neither letter nor digit. So `redis` is in `mcpmon-redis-1` and not in `redistill`.
    #[must_use]
    pub fn in_name(&self, name: &str) -> Option<&str> {
        let is_inner = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let stands = |word: &str| {
            name.match_indices(word).any(|(at, _)| {
                let before = name.get(..at).and_then(|before| before.chars().next_back());
                let after = name.get(at + word.len()..).and_then(|after| after.chars().next());
                !is_inner(before) && !is_inner(after)
            })
        };
        self.0.iter().map(String::as_str).find(|word| stands(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_by_itself() {
        let protected = Protected::new(Protected::DEFAULT.map(str::to_owned));
        for (name, word) in [
            ("mcpmon-redis-1", Some("redis")),
            ("redis", Some("redis")),
            ("mcp-health-monitor.service", Some("health-monitor")),
            ("http://remediation:9096", Some("remediation")),
            ("redistill", None),
            ("boutique", None),
            ("", None),
        ] {
            assert_eq!(protected.in_name(name), word, "{name}");
        }
    }
}
