//! Messages out of a body: decompressed if need be, then one document or many events.

use std::io::Write;

use flate2::write::{GzDecoder, ZlibDecoder};

use super::super::framing::Line;
use super::exchange::{Coding, Content, Form};
use super::kept::Kept;
use super::sse::Events;

/// How much is decompressed at a time: a little of it may be the start of a thousand times more.
const STEP: usize = 4 * 1024;

/// What a body holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'a> {
    /// A message, or a batch.
    Message(Line<'a>),
    /// Where an HTTP+SSE client has to post to.
    Endpoint(&'a str),
}

#[derive(Debug)]
pub(super) struct Reader {
    decoder: Decoder,
    parser: Parser,
    lost: bool,
}

#[derive(Debug)]
enum Decoder {
    Identity,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

#[derive(Debug)]
enum Parser {
    Document(Kept),
    Events(Box<Events>),
}

impl Reader {
    /// A reader for such a body; none where there is nothing to read.
    pub(super) fn of(form: Form) -> Option<Self> {
        let parser = match form.content {
            Content::Json => Parser::Document(Kept::default()),
            Content::Events => Parser::Events(Box::default()),
            Content::Other => return None,
        };
        let decoder = match form.coding {
            Coding::Gzip => Decoder::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Coding::Deflate => Decoder::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            Coding::Identity | Coding::Unknown => Decoder::Identity,
        };
        Some(Self { decoder, parser, lost: form.coding == Coding::Unknown })
    }

    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Input<'_>)) {
        if self.lost {
            return;
        }
        let parser = &mut self.parser;
        let result = match &mut self.decoder {
            Decoder::Identity => {
                parser.feed(bytes, each);
                Ok(())
            }
            Decoder::Gzip(decoder) => bytes.chunks(STEP).try_for_each(|step| {
                decoder.write_all(step)?;
                decoder.flush()?;
                parser.feed(decoder.get_ref(), each);
                decoder.get_mut().clear();
                Ok::<(), std::io::Error>(())
            }),
            Decoder::Deflate(decoder) => bytes.chunks(STEP).try_for_each(|step| {
                decoder.write_all(step)?;
                decoder.flush()?;
                parser.feed(decoder.get_ref(), each);
                decoder.get_mut().clear();
                Ok(())
            }),
        };
        if result.is_err() {
            self.lose();
        }
    }

    /// The body is whole.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(Input<'_>)) {
        if let (Parser::Document(document), false) = (&mut self.parser, self.lost) {
            let document = std::mem::take(document);
            if !document.is_empty() {
                each(Input::Message(document.line()));
            }
        }
    }

    /// Bytes were lost. Events begin again at the next one; a document is gone, and so is what is
    /// compressed.
    pub(super) fn lose(&mut self) {
        match &mut self.parser {
            Parser::Events(events) if matches!(self.decoder, Decoder::Identity) => events.lose(),
            _ => self.lost = true,
        }
    }

    /// Whether nothing more comes out of it.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether events had ids.
    pub(super) fn has_ids(&self) -> bool {
        matches!(&self.parser, Parser::Events(events) if events.has_ids())
    }
}

impl Parser {
    fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Input<'_>)) {
        match self {
            Self::Document(document) => document.push(bytes),
            Self::Events(events) => events.feed(bytes, each),
        }
    }
}
