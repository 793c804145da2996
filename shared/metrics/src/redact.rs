//! Takes secrets out of error texts before they leave the tool.
//!
//! A text is judged word by word: what follows `Bearer` or `password=`, the user part of an
//! address, and long runs of digits and letters that no person would write.

use std::borrow::Cow;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// The longest message that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 512;

/// How much of a text is looked at: a redacted text is cut to [`MAX_MESSAGE_BYTES`] anyway.
const LOOKED_AT_BYTES: usize = 8 * 1024;

/// The shortest run of hexadecimal or base64 that counts as a secret.
const LONG_RUN: usize = 32;

/// Words that mark what follows `=` or `:` as a secret, wherever they stand in the key.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "privatekey",
    "credential",
    "authorization",
    "cookie",
    "signature",
];

/// Replaces what looks like a secret in `text` with [`REDACTED`].
///
/// Recognised are `Bearer …` and `Basic …`, values of keys such as `password=` or `"api_key":`,
/// the user part of `scheme://user:password@host`, and runs of 32 or more hexadecimal or base64
/// characters. Trace ids and digests go the same way: a message is for reading, not for joining.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut next = Next::Text;
    while !rest.is_empty() {
        let gap = rest.find(|c: char| !is_gap(c)).unwrap_or(rest.len());
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
        let word = &rest[..rest.find(is_gap).unwrap_or(rest.len())];
        rest = &rest[word.len()..];
        if word.is_empty() {
            continue;
        }
        // `token = x` and `Authorization: Bearer x`: the mark and the secret are words apart.
        if next != Next::Text && (is_separator(word) || is_scheme(word)) {
            out.push_str(word);
            continue;
        }
        match next {
            Next::Text if is_scheme(word) => {
                out.push_str(word);
                next = Next::Secret;
            }
            Next::Text => next = push_word(&mut out, word, rest),
            Next::Secret => {
                out.push_str(REDACTED);
                next = Next::Text;
            }
            Next::SecretLine => {
                out.push_str(REDACTED);
                next = Next::Text;
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            }
        }
    }
    out
}

/// What the next word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Text,
    /// The value of a key, or a token behind its scheme.
    Secret,
    /// The value of a header, which may have any scheme and any number of words.
    SecretLine,
}

impl Next {
    fn value_of(key: &str) -> Self {
        let key = key.to_ascii_lowercase();
        let is_header = ["authorization", "cookie"].iter().any(|header| key.contains(header));
        if is_header { Self::SecretLine } else { Self::Secret }
    }
}

/// A message as it leaves the tool: redacted, and cut to [`MAX_MESSAGE_BYTES`].
pub fn message(text: &str) -> String {
    let mut clean = redact(head(text));
    clean.truncate(clean.floor_char_boundary(MAX_MESSAGE_BYTES));
    clean
}

/// The part of a text that is looked at. A word that the limit cuts is left out: half a secret
/// is not recognised.
fn head(text: &str) -> &str {
    if text.len() <= LOOKED_AT_BYTES {
        return text;
    }
    let cut = &text[..text.floor_char_boundary(LOOKED_AT_BYTES)];
    cut.rfind(is_gap).map_or("", |end| &cut[..end])
}

fn is_gap(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\\' | '\'' | '`' | ',' | ';' | '&' | '(' | ')' | '{' | '}' | '<' | '>'
        )
}

fn is_separator(word: &str) -> bool {
    word.bytes().all(|b| b"=:>[".contains(&b))
}

fn is_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|secret| key.contains(secret))
}

/// Writes a word, and says what the next one is.
fn push_word(out: &mut String, word: &str, rest: &str) -> Next {
    let word = without_user(word);
    let at = word.find(['=', ':']).filter(|at| !word[*at..].starts_with("://"));
    let is_value = at.is_some_and(|at| is_secret_key(&word[..at]));
    // The first separator of `http://host:80/?token=x` says nothing of the query.
    if let Some(query) = word.find('?').filter(|_| !is_value) {
        push_runs(out, &word[..=query]);
        return push_word(out, &word[query + 1..], rest);
    }
    let Some(at) = at else {
        push_runs(out, &word);
        // `"token": "x"`: the separator is behind the closing quote.
        let quote = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\\');
        let behind = rest.trim_start_matches(quote);
        let is_key = is_secret_key(&word) && behind.starts_with(['=', ':']);
        return if is_key { Next::value_of(&word) } else { Next::Text };
    };
    let (key, value) = word.split_at(at + 1);
    if !is_value {
        push_runs(out, &word);
        return Next::Text;
    }
    out.push_str(key);
    let next = Next::value_of(&key[..at]);
    if value.is_empty() || is_scheme(value) {
        out.push_str(value);
        return next;
    }
    if next == Next::SecretLine {
        // `Authorization:Token x`: what was taken for the value may be a scheme.
        return Next::SecretLine;
    }
    out.push_str(REDACTED);
    Next::Text
}

/// `scheme://user:password@host` without its user part.
fn without_user(word: &str) -> Cow<'_, str> {
    let Some(start) = word.find("://").map(|at| at + 3) else {
        return Cow::Borrowed(word);
    };
    let authority =
        &word[start..][..word[start..].find(['/', '?', '#']).unwrap_or(word.len() - start)];
    match authority.rfind('@') {
        Some(at) => Cow::Owned(format!("{}{REDACTED}{}", &word[..start], &word[start + at..])),
        None => Cow::Borrowed(word),
    }
}

/// Writes a word with its long runs replaced.
fn push_runs(out: &mut String, word: &str) {
    let mut rest = word;
    while !rest.is_empty() {
        let run = &rest[..rest.find(|c| !is_run_char(c)).unwrap_or(rest.len())];
        if run.is_empty() {
            let other = rest.find(is_run_char).unwrap_or(rest.len());
            out.push_str(&rest[..other]);
            rest = &rest[other..];
            continue;
        }
        out.push_str(if is_secret_run(run) { REDACTED } else { run });
        rest = &rest[run.len()..];
    }
}

fn is_run_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-')
}

/// Paths are long too, so a run with a slash needs every class of character to be a secret.
fn is_secret_run(run: &str) -> bool {
    let has = |class: fn(&u8) -> bool| run.bytes().any(|b| class(&b));
    let digit = has(u8::is_ascii_digit);
    let lower = has(u8::is_ascii_lowercase);
    let upper = has(u8::is_ascii_uppercase);
    let mixed = if run.contains('/') { digit && lower && upper } else { digit || (lower && upper) };
    run.len() >= LONG_RUN && mixed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let cases = [
            ("connection refused (os error 111)", "connection refused (os error 111)"),
            ("401 with Authorization: Bearer abc.def", "401 with Authorization: Bearer [redacted]"),
            ("authorization:bearer abc", "authorization:bearer [redacted]"),
            ("Authorization: Token abc123 refused\nnext", "Authorization: [redacted]\nnext"),
            ("Authorization:Digest username=joe, response=f00", "Authorization: [redacted]"),
            ("Cookie: a=1; session=xyz", "Cookie: [redacted]"),
            (r#"{\"token\": \"abc\"}"#, r#"{\"token\": \"[redacted]\"}"#),
            ("basic dXNlcjpwYXNz failed", "basic [redacted] failed"),
            ("password=hunter2 user=joe", "password=[redacted] user=joe"),
            ("PGPASSWORD = hunter2;", "PGPASSWORD = [redacted];"),
            (r#"{"api_key": "k-1", "id": 7}"#, r#"{"api_key": "[redacted]", "id": 7}"#),
            (r#"{"token":"t"}"#, r#"{"token":"[redacted]"}"#),
            ("GET /a?access_token=x&b=1", "GET /a?access_token=[redacted]&b=1"),
            ("GET http://h:80/?token=x failed", "GET http://h:80/?token=[redacted] failed"),
            ("url=https://h/a?b=1&api_key=x", "url=https://h/a?b=1&api_key=[redacted]"),
            ("what? http://h?", "what? http://h?"),
            ("postgres://joe:pw@db:5432/shop", "postgres://[redacted]@db:5432/shop"),
            (
                "no rows in /usr/share/python3/dist-packages/stripe",
                "no rows in /usr/share/python3/dist-packages/stripe",
            ),
            ("key sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWx refused", "key [redacted] refused"),
            ("token expired", "token expired"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected, "of {text:?}");
        }
    }

    #[test]
    fn a_secret_cut_by_the_limit_is_left_out() {
        let secret = "f00d".repeat(16);
        for padding in [LOOKED_AT_BYTES - 8, LOOKED_AT_BYTES - 40] {
            // A long value in front shrinks, so that the tail would come within the limit.
            let text = format!("password={} {secret}", "x".repeat(padding - 10));
            assert!(!message(&text).contains("f00d"), "padding {padding}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_messages_are_bounded(text in ".*") {
            prop_assert!(message(&text.repeat(20)).len() <= MAX_MESSAGE_BYTES);
        }

        #[test]
        fn twice_is_once(text in "[ -~]{0,200}") {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }

        #[test]
        fn no_hexadecimal_run_survives(before in "[a-z :=]{0,20}", secret in "[0-9a-f]{32,128}", after in "[ .,;)]{0,3}") {
            prop_assume!(secret.bytes().any(|b| b.is_ascii_digit()));
            let text = format!("{before} {secret}{after}");
            prop_assert!(!redact(&text).contains(&secret));
        }

        #[test]
        fn no_bearer_token_survives(before in "[a-z ]{0,20}", secret in "[A-Za-z0-9._~+/-]{9,60}") {
            let text = format!("{before} Bearer {secret} was refused");
            prop_assert!(!redact(&text).contains(&secret));
        }

        #[test]
        fn no_value_of_a_secret_key_survives(
            key in prop::sample::select(SECRET_KEYS), separator in prop::sample::select(&["=", ": ", ":", " = ", "\": \""][..]),
            secret in "[0-9!$%]{12,60}",
        ) {
            let text = format!("sent \"{key}{separator}{secret}\" to it");
            prop_assert!(!redact(&text).contains(&secret), "{}", redact(&text));
        }
    }
}
