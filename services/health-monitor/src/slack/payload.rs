//! A message as Slack wants it: a text, and one coloured attachment for each section.
//!
//! Slack takes 3,000 characters in a block, 50 blocks, and 40,000 characters in a text.

use std::time::{Duration, UNIX_EPOCH};

use mcpmon_metrics::redact;
use reqwest::Url;
use serde_json::{Value, json};

use crate::notice::message::{Line, Message, Moment, Section, Tone};

const LONGEST_BLOCK: usize = 3_000;
const LONGEST_TEXT: usize = 40_000;

/// With colours and links.
pub(super) fn full(message: &Message, page: Option<&Url>) -> Value {
    let mut attachments: Vec<_> = message.sections.iter().map(attachment).collect();
    if let Some(page) = page {
        let link = format!("<{}|Open the health page>", escape(page.as_str()));
        attachments.push(json!({
            "fallback": page.as_str(),
            "blocks": [{ "type": "context", "elements": [{ "type": "mrkdwn", "text": link }] }],
        }));
    }
    json!({ "text": headline(message), "attachments": attachments })
}

/// One text, for whoever refuses the other.
pub(super) fn plain(message: &Message, page: Option<&Url>) -> Value {
    let mut lines = vec![headline(message)];
    lines.extend(message.sections.iter().flat_map(section_lines));
    lines.extend(page.map(|page| escape(page.as_str())));
    let mut text = String::new();
    for line in lines {
        if text.chars().count() + line.chars().count() >= LONGEST_TEXT {
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    json!({ "text": text.trim_end() })
}

fn headline(message: &Message) -> String {
    let has = |tone| message.sections.iter().any(|section| section.tone == tone);
    let emoji = if has(Tone::Bad) {
        ":red_circle:"
    } else if has(Tone::Warning) {
        ":warning:"
    } else {
        ":large_green_circle:"
    };
    format!("{emoji} {}", escape(&message.headline))
}

fn attachment(section: &Section) -> Value {
    let color = match section.tone {
        Tone::Bad => "#d92626",
        Tone::Warning => "#e6a700",
        Tone::Good => "#2e9e4f",
    };
    let mut texts: Vec<String> = Vec::new();
    for line in section_lines(section) {
        match texts.last_mut() {
            Some(text) if text.chars().count() + 1 + line.chars().count() <= LONGEST_BLOCK => {
                text.push('\n');
                text.push_str(&line);
            }
            _ => texts.push(line),
        }
    }
    let block = |text| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let blocks: Vec<_> = texts.into_iter().map(block).collect();
    json!({ "color": color, "fallback": escape(&section.title), "blocks": blocks })
}

fn section_lines(section: &Section) -> Vec<String> {
    let mut lines: Vec<_> = section.lines.iter().map(line).collect();
    if section.more > 0 {
        lines.push(format!("and {} more", section.more));
    }
    lines
}

fn line(line: &Line) -> String {
    let Line { component, text, command, moment, key } = line;
    // Names and keys are ours and stay; what came from outside is redacted once more.
    let text = escape(&redact::redact(text));
    let (component, key) = (escape(component), escape(key));
    let command = command.as_deref().map(|command| format!(": `{}`", escape(command)));
    let command = command.unwrap_or_default();
    let moment = match moment {
        Moment::Since(at) => format!("since {}", date(*at)),
        Moment::At(at) => date(*at),
    };
    format!("*{component}*: {text}{command} ({moment}) `{key}`")
}

/// Each reader sees it in the own time zone; the rest is for programs that cannot.
fn date(ms: u64) -> String {
    let seconds = ms / 1_000;
    // A number beyond the year 9999 is none of a clock.
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799));
    let utc = humantime::format_rfc3339_seconds(time);
    format!("<!date^{seconds}^{{date_short_pretty}} {{time_secs}}|{utc}>")
}

/// The three characters that mean something to Slack.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
