//! A real `redis-server` of a test's own: on a free port, with its own data, which a test freezes,
//! kills and starts again.

use std::fs::{self, DirEntry};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a crash leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: it comes back empty.
    None,
    /// The append-only file, as we ship it.
    Aof,
}

/// The running server; it ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    persistence: Persistence,
    data: TempDir,
}

impl RedisServer {
    /// Starts it and waits until it takes connections.
    ///
    /// # Panics
    /// When there is no `redis-server`, or when it does not start.
    pub fn start(persistence: Persistence) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder for the data"), persistence)
    }

    /// The same, with its data in that folder.
    ///
    /// # Panics
    /// When there is no `redis-server`, or when it does not start.
    pub fn start_in(data: TempDir, persistence: Persistence) -> Self {
        // Between asking for a free port and using it, somebody else may take it.
        for _ in 0..10 {
            let port = free_port();
            if let Some(child) = spawn(port, persistence, &data) {
                return Self { child, port, persistence, data };
            }
        }
        panic!("redis-server did not start; run it by hand to see why");
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends one command on a connection of its own and gives the reply's first line, for instance
    /// `+OK` or `:3`.
    ///
    /// # Panics
    /// When there is no reply within 10 seconds.
    pub fn command(&self, words: &[&str]) -> String {
        let mut line = String::new();
        self.send(words).read_line(&mut line).expect("it answers");
        line.trim_end().to_owned()
    }

    /// What `INFO` says in that section, for instance `commandstats`.
    ///
    /// # Panics
    /// When there is no such reply within 10 seconds.
    pub fn info(&self, section: &str) -> String {
        let (mut reply, mut length) = (self.send(&["INFO", section]), String::new());
        reply.read_line(&mut length).expect("it answers");
        let length = length.trim_end().strip_prefix('$').and_then(|length| length.parse().ok());
        let mut text = vec![0; length.expect("INFO gives a text")];
        reply.read_exact(&mut text).expect("the text is as long as said");
        String::from_utf8(text).expect("INFO gives a text")
    }

    /// Every write of its life as its append-only file has it, the removed ones included.
    ///
    /// # Panics
    /// When it keeps none.
    pub fn appended(&self) -> Vec<u8> {
        assert_eq!(self.persistence, Persistence::Aof, "there is no append-only file");
        let folder = self.data.path().join("appendonlydir");
        let files = fs::read_dir(folder).expect("the append-only files");
        let read = |entry: io::Result<DirEntry>| fs::read(entry.expect("a file").path());
        files.flat_map(|entry| read(entry).expect("it can be read")).collect()
    }

    fn send(&self, words: &[&str]) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it runs");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout above zero");
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes()).expect("it reads");
        BufReader::new(stream)
    }

    /// Sends a command that must succeed.
    ///
    /// # Panics
    /// When the reply is an error.
    #[track_caller]
    pub fn must(&self, words: &[&str]) -> String {
        let reply = self.command(words);
        assert!(!reply.starts_with('-'), "{words:?}: {reply}");
        reply
    }

    /// Stops its clock: it keeps its connections, takes new ones, and answers nobody.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on; it then does what was asked while it was frozen.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("our own child may be killed");
        self.child.wait().expect("our own child can be awaited");
    }

    /// Starts it again on the same port, with what it kept.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.child =
            spawn(self.port, self.persistence, &self.data).expect("redis-server starts again");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("our own child is there");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// `None` when it ended before it took connections.
fn spawn(port: u16, persistence: Persistence, data: &TempDir) -> Option<Child> {
    let append = if persistence == Persistence::Aof { "yes" } else { "no" };
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", append, "--maxmemory-policy", "noeviction"])
        .arg("--dir")
        .arg(data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server can be run: install the package redis-server");
    let mut log = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    while log.read_line(&mut line).expect("its log is text") > 0 {
        if line.contains("Ready to accept connections") {
            // Read on, or it would block on a full pipe.
            thread::spawn(move || log.read_to_end(&mut Vec::new()));
            return Some(child);
        }
        line.clear();
    }
    child.wait().expect("our own child can be awaited");
    None
}
