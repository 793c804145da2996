//! A list that stops at [`MAX_EVENTS`].
//!
//! A short body can hold many empty records: without a bound, a megabyte of them would become
//! hundreds of megabytes of events.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::MAX_EVENTS;

/// How the message of a list that is too long begins.
pub(super) const TOO_MANY: &str = "too many events";

/// At most [`MAX_EVENTS`] values.
#[derive(Debug)]
pub(super) struct Bounded<E>(pub(super) Vec<E>);

impl<'de, E: Deserialize<'de>> Deserialize<'de> for Bounded<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<E>(PhantomData<E>);

        impl<'de, E: Deserialize<'de>> Visitor<'de> for List<E> {
            type Value = Bounded<E>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<E>, A::Error> {
                let mut events = Vec::new();
                while let Some(event) = list.next_element()? {
                    if events.len() == MAX_EVENTS {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    events.push(event);
                }
                Ok(Bounded(events))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}
