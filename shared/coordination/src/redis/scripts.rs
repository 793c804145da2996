//! All Lua that we run in Redis. Each script is one read–compare–write: between the reading and the
//! writing nobody else may come, and a reply that is lost must leave nothing half done.
//!
//! They are called by their digest and loaded again when Redis forgot them (`SCRIPT FLUSH`, a
//! restart). Every key comes by KEYS. Only what Redis 7.0, Redis 8 and Valkey share.

use deadpool_redis::redis::Script;

/// A document is a hash: `p` its position in twenty digits, `v` its value.
///
/// KEYS\[1\] the document. ARGV\[1\] the expected position, empty for "none"; \[2\] the new
/// position; \[3\] the value; \[4\] milliseconds to live, 0 for ever. Gives
/// `{1}` or `{0, position, value}`.
///
/// Atomic, or two replicas that read the same position would both write.
const PUT: &str = r"
local document = redis.call('HMGET', KEYS[1], 'p', 'v')
local position = document[1] or ''
if position ~= ARGV[1] or (position ~= '' and ARGV[2] <= position) then
  return {0, document[1], document[2]}
end
redis.call('HSET', KEYS[1], 'p', ARGV[2], 'v', ARGV[3])
if ARGV[4] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {1, false, false}
";

/// KEYS\[1\] the document. ARGV\[1\] the expected position. Gives 1 when there is none now.
///
/// Atomic, or a document that was written in between would be lost.
const REMOVE: &str = r"
local position = redis.call('HGET', KEYS[1], 'p')
if position and position ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
";

/// A lease is a hash: `h` its holder, `f` its fencing number.
///
/// KEYS\[1\] the lease, \[2\] the last fencing number, which never ends. ARGV\[1\] the holder;
/// \[2\] milliseconds. Gives the number, or nil when another holds it.
///
/// Atomic, or two could find the lease free; and the number must belong to the grant.
const ACQUIRE: &str = r"
local lease = redis.call('HMGET', KEYS[1], 'h', 'f')
if lease[1] and lease[1] ~= ARGV[1] then
  return false
end
local fencing = lease[2]
if not fencing then
  fencing = redis.call('INCR', KEYS[2])
  redis.call('HSET', KEYS[1], 'h', ARGV[1], 'f', fencing)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(fencing)
";

/// KEYS\[1\] the lease. ARGV\[1\] the holder; \[2\] its fencing number; \[3\] milliseconds. Gives
/// 1 when it was still theirs.
///
/// Atomic, or the lease of the next holder could be lengthened.
const RENEW: &str = r"
local lease = redis.call('HMGET', KEYS[1], 'h', 'f')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
";

/// KEYS\[1\] the lease. ARGV\[1\] the holder; \[2\] its fencing number. Gives 1 when it was still
/// theirs.
///
/// Atomic, or the lease of the next holder could be taken away.
const RELEASE: &str = r"
local lease = redis.call('HMGET', KEYS[1], 'h', 'f')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then
  return 0
end
return redis.call('DEL', KEYS[1])
";

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) put: Script,
    pub(super) remove: Script,
    pub(super) acquire: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            put: Script::new(PUT),
            remove: Script::new(REMOVE),
            acquire: Script::new(ACQUIRE),
            renew: Script::new(RENEW),
            release: Script::new(RELEASE),
        }
    }
}
