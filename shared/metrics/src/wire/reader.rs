//! Reads the JSON that programs send, several times as fast as serde: it knows the few forms that
//! events are made of and looks at each byte once.
//!
//! It decides nothing. Whatever is not of these forms, or wrong, it gives back: a string with an
//! escape or a number with an exponent to serde_json as a value, anything else to the caller, who
//! reads it again with serde_json and has its verdict and its words. The tests hold the two against
//! each other.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::WireEvent;
use super::text::Text;

/// A place in a text. Every method gives the value that begins there and moves behind it, or
/// nothing; then the place is no longer of use.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// Powers of ten that are exact as f64. serde_json divides by them too.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Numbers below this have room for one more digit in a u64.
const ROOM: u64 = 1_000_000_000_000_000_000;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte at the place; 0, which is no JSON, behind the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The first byte that is no space.
    fn token(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    /// Moves behind `token`.
    pub(super) fn take(&mut self, token: u8) -> Option<()> {
        (self.token() == token).then(|| self.at += 1)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.token();
        self.at == self.text.len()
    }

    /// Reads every element between `open` and `close`.
    pub(super) fn list(
        &mut self,
        open: u8,
        close: u8,
        mut element: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            element(self)?;
            match self.token() {
                b',' => self.at += 1,
                token if token == close => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Reads every key with its value.
    pub(super) fn object(
        &mut self,
        mut entry: impl FnMut(&str, &mut Self) -> Option<()>,
    ) -> Option<()> {
        self.list(b'{', b'}', |reader| {
            let key = reader.plain_text()?;
            reader.take(b':')?;
            entry(key, reader)
        })
    }

    /// An event, if it is one of serde's.
    pub(super) fn event(&mut self) -> Option<WireEvent<'a>> {
        let mut event = WireEvent::default();
        self.object(|key, reader| event.read(key, reader))?;
        Some(event)
    }

    /// Any value, as its text.
    pub(super) fn raw(&mut self) -> Option<&'a str> {
        self.serde::<&RawValue>().map(RawValue::get)
    }

    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        let mut plain = self.clone();
        match plain.plain_text() {
            Some(text) => {
                *self = plain;
                Some(Text(text.into()))
            }
            None => self.serde(),
        }
    }

    /// A string without escapes.
    fn plain_text(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let from = self.at;
        while let Some(eight) = self.text.as_bytes().get(self.at..self.at + 8) {
            let eight = eight.try_into().expect("the slice is eight bytes long");
            let ends = ends(u64::from_le_bytes(eight));
            if ends != 0 {
                self.at += ends.trailing_zeros() as usize / 8;
                break;
            }
            self.at += 8;
        }
        // The last bytes of the whole text.
        while !matches!(self.byte(), b'"' | b'\\' | ..0x20) {
            self.at += 1;
        }
        // Not `take`, which would pass over a control character as over a space.
        if self.byte() != b'"' {
            return None;
        }
        let text = self.text.get(from..self.at);
        self.at += 1;
        text
    }

    pub(super) fn whole(&mut self) -> Option<u64> {
        let mut plain = self.clone();
        plain.token();
        match plain.digits() {
            Some(number) if !matches!(plain.byte(), b'.' | b'e' | b'E') => {
                *self = plain;
                Some(number)
            }
            _ => self.serde(),
        }
    }

    pub(super) fn number(&mut self) -> Option<f64> {
        let mut plain = self.clone();
        plain.token();
        match plain.decimal() {
            Some(number) => {
                *self = plain;
                Some(number)
            }
            None => self.serde(),
        }
    }

    /// A number without sign or exponent, computed as serde_json does.
    fn decimal(&mut self) -> Option<f64> {
        let mut digits = self.digits()?;
        let mut decimals = 0;
        if self.byte() == b'.' {
            self.at += 1;
            let from = self.at;
            digits = self.more_digits(digits)?;
            decimals = self.at - from;
            if decimals == 0 {
                return None;
            }
        }
        if matches!(self.byte(), b'e' | b'E') {
            return None;
        }
        Some(digits as f64 / POWERS.get(decimals)?)
    }

    /// The digits of a whole number. A zero stands alone: what follows it is no JSON.
    fn digits(&mut self) -> Option<u64> {
        if self.byte() == b'0' {
            self.at += 1;
            return Some(0);
        }
        let from = self.at;
        let number = self.more_digits(0)?;
        (self.at > from).then_some(number)
    }

    fn more_digits(&mut self, mut number: u64) -> Option<u64> {
        while let digit @ b'0'..=b'9' = self.byte() {
            if number >= ROOM {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        Some(number)
    }

    /// One value as serde_json reads it.
    pub(super) fn serde<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let rest = self.text.get(self.at..)?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }
}

/// The bytes that end a plain string, as the highest bit of each: quotes, backslashes and control
/// characters. Beyond the first such byte a bit may be set in error.
fn ends(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHEST: u64 = ONES * 0x80;
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes & HIGHEST;
    let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    below(eight, 0x20) | equal(b'"') | equal(b'\\')
}
