//! Entries in and out of a Redis stream.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Cmd, Pipeline, cmd};

use super::failure::Failure;
use super::milliseconds;
use crate::store::{Entry, STREAM_ENTRIES, STREAM_READ};

/// An entry as Redis gives it: its id, its fields.
type Raw = (String, HashMap<String, String>);

/// Who reads which stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) stream: &'a str,
    pub(super) group: &'a str,
    pub(super) consumer: &'a str,
}

pub(super) async fn publish(
    mut connection: MultiplexedConnection,
    stream: &str,
    value: &str,
) -> Result<String, Failure> {
    let mut command = cmd("XADD");
    command.arg(stream).arg("MAXLEN").arg("~").arg(STREAM_ENTRIES).arg("*").arg("v").arg(value);
    Ok(command.query_async(&mut connection).await?)
}

impl Reader<'_> {
    pub(super) async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Failure> {
        let late = match self.claim(connection, patience).await {
            Err(Failure::Redis(error)) if error.code() == Some("NOGROUP") => {
                self.create_group(connection).await?;
                Vec::new()
            }
            other => other?,
        };
        if late.is_empty() { self.read_new(connection, wait).await } else { Ok(late) }
    }

    /// What was given out longer than `patience` ago and never acknowledged.
    async fn claim(
        &self,
        connection: &mut MultiplexedConnection,
        patience: Duration,
    ) -> Result<Vec<Entry>, Failure> {
        let mut cursor = "0-0".to_owned();
        loop {
            let mut command = cmd("XAUTOCLAIM");
            command.arg(self.stream).arg(self.group).arg(self.consumer);
            command.arg(milliseconds(patience)).arg(&cursor).arg("COUNT").arg(STREAM_READ);
            // The third part names entries that the stream no longer keeps.
            let (next, claimed, _gone): (String, Vec<Raw>, Vec<String>) =
                command.query_async(connection).await?;
            if !claimed.is_empty() {
                return self.with_deliveries(connection, claimed).await;
            }
            if next == "0-0" {
                return Ok(Vec::new());
            }
            cursor = next;
        }
    }

    /// A claim does not say how often it was tried before.
    async fn with_deliveries(
        &self,
        connection: &mut MultiplexedConnection,
        claimed: Vec<Raw>,
    ) -> Result<Vec<Entry>, Failure> {
        let mut pending = Pipeline::with_capacity(claimed.len());
        for (id, _) in &claimed {
            pending.cmd("XPENDING").arg(self.stream).arg(self.group).arg(id).arg(id).arg(1);
        }
        let pending: Vec<Vec<(String, String, u64, u64)>> = pending.query_async(connection).await?;
        let tried = |rows: Vec<(_, _, _, u64)>| rows.first().map_or(1, |row| row.3);
        Ok(claimed.into_iter().zip(pending).map(|(raw, rows)| entry(raw, tried(rows))).collect())
    }

    async fn read_new(
        &self,
        connection: &mut MultiplexedConnection,
        wait: Duration,
    ) -> Result<Vec<Entry>, Failure> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(self.group).arg(self.consumer).arg("COUNT").arg(STREAM_READ);
        if !wait.is_zero() {
            // 0 would mean for ever.
            command.arg("BLOCK").arg(milliseconds(wait));
        }
        command.arg("STREAMS").arg(self.stream).arg(">");
        let streams: Option<Vec<(String, Vec<Raw>)>> = command.query_async(connection).await?;
        let new = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
        Ok(new.map(|raw| entry(raw, 1)).collect())
    }

    async fn create_group(&self, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
        let mut command: Cmd = cmd("XGROUP");
        command.arg("CREATE").arg(self.stream).arg(self.group).arg("0").arg("MKSTREAM");
        match command.query_async(connection).await {
            // Another consumer was faster.
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            other => Ok(other?),
        }
    }
}

fn entry((id, mut fields): Raw, deliveries: u64) -> Entry {
    let value = fields.remove("v").unwrap_or_default();
    Entry { id, value, deliveries }
}
