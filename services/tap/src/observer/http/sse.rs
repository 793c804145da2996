//! Server-sent events, as the WHATWG's HTML standard defines their stream, of which only the
//! data of messages and of the endpoint is wanted.

use memchr::{memchr, memchr2};

use super::kept::Kept;
use super::reader::Input;

/// The longest field name that means something here, and the longest event name.
const MAX_NAME: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Events {
    field: Field,
    /// The field's name as far as it has come.
    name: Vec<u8>,
    /// The event's type.
    kind: Vec<u8>,
    data: Kept,
    /// Whether the event has a line of data yet.
    has_data: bool,
    has_ids: bool,
    /// A newline now belongs to the carriage return before it.
    after_return: bool,
    /// The rest of this event is of no use: its start is unknown.
    lost: bool,
}

/// Where in a line the parser is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Field {
    #[default]
    Name,
    /// Behind the colon, where one blank is none of the value.
    Begins(Value),
    Within(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Data,
    Kind,
    Other,
}

impl Events {
    pub(super) fn feed(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Input<'_>)) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else { return self.part(bytes) };
            self.part(&bytes[..end]);
            self.end_line(each);
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
        }
    }

    pub(super) fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// Bytes were lost: skips to the next event.
    pub(super) fn lose(&mut self) {
        *self = Self { lost: true, has_ids: self.has_ids, ..Self::default() };
        // What follows is the middle of a line, which must not look like an empty one.
        self.field = Field::Within(Value::Other);
    }

    fn part(&mut self, mut part: &[u8]) {
        if part.is_empty() {
            return;
        }
        if self.field == Field::Name {
            let colon = memchr(b':', part);
            let name = &part[..colon.unwrap_or(part.len())];
            let room = (MAX_NAME + 1).saturating_sub(self.name.len());
            self.name.extend_from_slice(&name[..name.len().min(room)]);
            let Some(colon) = colon else { return };
            self.field = Field::Begins(match self.name.as_slice() {
                b"data" | b"\xEF\xBB\xBFdata" => Value::Data,
                b"event" | b"\xEF\xBB\xBFevent" => Value::Kind,
                name => {
                    self.has_ids |= name == b"id";
                    Value::Other
                }
            });
            part = &part[colon + 1..];
            self.begin();
        }
        if let Field::Begins(value) = self.field {
            let Some(first) = part.first() else { return };
            if *first == b' ' {
                part = &part[1..];
            }
            self.field = Field::Within(value);
        }
        match self.field {
            Field::Within(Value::Data) if !self.lost => self.data.push(part),
            Field::Within(Value::Kind) => {
                let room = MAX_NAME.saturating_sub(self.kind.len());
                self.kind.extend_from_slice(&part[..part.len().min(room)]);
            }
            _ => {}
        }
    }

    /// A field's value begins.
    fn begin(&mut self) {
        if self.field == Field::Begins(Value::Kind) {
            self.kind.clear();
        } else if self.field == Field::Begins(Value::Data)
            && std::mem::replace(&mut self.has_data, true)
        {
            self.data.push(b"\n");
        }
    }

    fn end_line(&mut self, each: &mut dyn FnMut(Input<'_>)) {
        let is_empty = self.field == Field::Name && self.name.is_empty();
        self.field = Field::Name;
        self.name.clear();
        if !is_empty {
            return;
        }
        let data = std::mem::take(&mut self.data);
        let has_data = std::mem::take(&mut self.has_data);
        if !std::mem::take(&mut self.lost) && has_data && !data.is_empty() {
            match self.kind.as_slice() {
                b"endpoint" => {
                    data.text().into_iter().for_each(|target| each(Input::Endpoint(target)));
                }
                _ => each(Input::Message(data.line())),
            }
        }
        self.kind.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::framing::Line;
    use super::*;

    fn read(chunks: &[&str]) -> Vec<String> {
        let (mut events, mut seen) = (Events::default(), Vec::new());
        for chunk in chunks {
            events.feed(chunk.as_bytes(), &mut |input| {
                seen.push(match input {
                    Input::Message(Line::Whole(line)) => String::from_utf8(line.to_vec()).unwrap(),
                    Input::Message(Line::Oversized(line)) => format!("{} bytes", line.length()),
                    Input::Endpoint(target) => format!("endpoint {target}"),
                });
            });
        }
        seen
    }

    const STREAM: &str = ": a comment\r\n\r\nid: 1\ndata:\n\nevent: endpoint\r\ndata: /m?s=1\r\n\r\n\
        retry: 5\rdata: {\"a\":\rdata:1}\r\revent: message\nid: 2\ndata:  two blanks\n\ndata: cut";

    #[test]
    fn events_are_read_whatever_ends_their_lines() {
        let expected = ["endpoint /m?s=1", "{\"a\":\n1}", " two blanks"];
        assert_eq!(read(&[STREAM]), expected);
    }

    #[test]
    fn events_do_not_depend_on_chunks() {
        for size in 1..7 {
            let chunks: Vec<&str> =
                STREAM.as_bytes().chunks(size).map(|c| std::str::from_utf8(c).unwrap()).collect();
            assert_eq!(read(&chunks), read(&[STREAM]), "{size}");
        }
    }

    #[test]
    fn after_a_loss_the_next_event_is_read() {
        let (mut events, mut seen) = (Events::default(), 0);
        events.feed(b"data: lost", &mut |_| seen += 1);
        events.lose();
        events.feed(b"ost\ndata: still lost\n\n", &mut |_| seen += 1);
        assert_eq!(seen, 0);
        events.feed(b"data: next\n\n", &mut |_| seen += 1);
        assert_eq!(seen, 1);
    }
}
