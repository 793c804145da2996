//! The token that the exporter asks for: given, or read from a file that may be rotated.

use std::fs;
use std::path::PathBuf;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::error::SdkError;

/// A token as the `Authorization` header, and where it came from.
#[derive(Debug)]
pub(crate) struct Token {
    /// Marked sensitive: `Debug` does not show it.
    header: HeaderValue,
    file: Option<PathBuf>,
}

impl Token {
    pub(crate) fn given(token: &SecretString) -> Result<Self, SdkError> {
        let header = header(token.expose_secret(), "MCP_EXPORTER_TOKEN")?;
        Ok(Self { header, file: None })
    }

    pub(crate) fn from_file(path: PathBuf) -> Result<Self, SdkError> {
        let header = read(&path)?;
        Ok(Self { header, file: Some(path) })
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Reads the file again. True when it holds another token now.
    pub(crate) fn reload(&mut self) -> bool {
        let Some(path) = &self.file else { return false };
        match read(path) {
            Ok(header) if header != self.header => {
                self.header = header;
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%error, "the exporter's token was refused and cannot be read again");
                false
            }
        }
    }
}

fn read(path: &PathBuf) -> Result<HeaderValue, SdkError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SdkError::TokenFile { path: path.clone(), source })?;
    let token = SecretString::from(text);
    header(token.expose_secret(), &path.display().to_string())
}

fn header(token: &str, from: &str) -> Result<HeaderValue, SdkError> {
    let wrong = |reason| SdkError::Token { from: from.to_owned(), reason };
    let token = token.trim();
    if token.is_empty() {
        return Err(wrong("is empty"));
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("holds a space, a control or a non-ASCII character"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .expect("printable ASCII is a legal header value");
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_never_shown() {
        let token = Token::given(&"  s3cr3t\n".into()).unwrap();
        assert_eq!(token.header(), "Bearer s3cr3t");
        assert!(!format!("{token:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_wrong_token_is_named_by_its_origin() {
        for (token, reason) in [("", "is empty"), ("a b", "holds a space"), ("ä", "non-ASCII")] {
            let error = Token::given(&token.into()).unwrap_err().to_string();
            assert!(error.starts_with("the exporter token from MCP_EXPORTER_TOKEN"), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_rotated_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "one\n").unwrap();
        let mut token = Token::from_file(path.clone()).unwrap();
        assert!(!token.reload(), "nothing changed");
        fs::write(&path, "two\n").unwrap();
        assert!(token.reload());
        assert_eq!(token.header(), "Bearer two");
        fs::remove_file(&path).unwrap();
        assert!(!token.reload(), "the last token stays");
        assert_eq!(token.header(), "Bearer two");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Token::from_file("/nonexistent/token".into()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/token"), "{error}");
    }
}
