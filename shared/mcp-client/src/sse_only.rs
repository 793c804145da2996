//! Whether an address speaks HTTP+SSE, the transport of revision 2024-11-05: a GET opens a stream
//! whose first event tells the endpoint to post to.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use crate::Url;

/// The event comes first or not at all.
const MAX_BYTES: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks within `time`, at most for two seconds.
pub(crate) async fn answers(client: &reqwest::Client, url: &Url, time: Duration) -> bool {
    let has_endpoint = timeout(time.min(PATIENCE), has_endpoint(client, url)).await;
    matches!(has_endpoint, Ok(Ok(true)))
}

async fn has_endpoint(client: &reqwest::Client, url: &Url) -> reqwest::Result<bool> {
    let mut request = client.get(&url.url).header(ACCEPT, "text/event-stream");
    if let Some(token) = &url.token {
        request = request.bearer_auth(token.expose_secret());
    }
    let mut response = request.send().await?;
    let content = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !response.status().is_success()
        || !content.is_some_and(|content| content.starts_with("text/event-stream"))
    {
        return Ok(false);
    }
    let mut start = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        start.extend_from_slice(&chunk[..chunk.len().min(MAX_BYTES - start.len())]);
        if names_endpoint(&start) {
            return Ok(true);
        }
        if start.len() == MAX_BYTES {
            break;
        }
    }
    Ok(false)
}

fn names_endpoint(stream: &[u8]) -> bool {
    stream
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(b"event:"))
        .any(|name| name.trim_ascii() == b"endpoint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_an_event() {
        assert!(names_endpoint(b"event: endpoint\ndata: /message?sessionId=1\n\n"));
        assert!(names_endpoint(b": hello\r\nevent:endpoint\r\n"));
        assert!(!names_endpoint(b"data: endpoint\n\n"));
        assert!(!names_endpoint(b"event: endpoin"));
    }
}
