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

    /// One more, such as the address of the monitor. One on this machine has several names.
    pub(crate) fn add(&mut self, word: String) {
        let here = ["127.0.0.1:", "localhost:", "[::1]:"];
        let everywhere = ["0.0.0.0:", "[::]:"];
        let mut names = here.iter().chain(&everywhere);
        if let Some(port) = names.find_map(|name| word.strip_prefix(name)) {
            self.0.extend(here.map(|name| format!("{name}{port}")));
        } else if !word.is_empty() {
            self.0.push(word);
        }
    }

    /// The word that stands in `name` by itself: at both ends of it the name ends, or has something
    /// that is neither letter nor digit. So `redis` is in `mcpmon-redis-1` and not in `redistill`.
    #[must_use]
    pub fn in_name(&self, name: &str) -> Option<&str> {
        let is_inner = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let name = name.to_ascii_lowercase();
        let stands = |word: &str| {
            name.match_indices(&word.to_ascii_lowercase()).any(|(at, _)| {
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
            ("Shop-Redis-1", Some("redis")),
            ("redistill", None),
            ("boutique", None),
            ("", None),
        ] {
            assert_eq!(protected.in_name(name), word, "{name}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_protected_under_each_of_its_names() {
        for own in ["127.0.0.1:9095", "localhost:9095", "0.0.0.0:9095", "[::]:9095"] {
            let mut protected = Protected::default();
            protected.add(own.to_owned());
            for name in ["127.0.0.1:9095", "localhost:9095", "[::1]:9095"] {
                assert!(protected.in_name(name).is_some(), "{own}: {name}");
            }
            assert_eq!(protected.in_name("localhost:90950"), None);
            assert_eq!(protected.in_name("shop:9095"), None);
        }
    }
}
