//! The least that can stand between a client and a server: it passes bytes and knows nothing of
//! them. What it adds is the machine's; what the tap adds beyond it is the tap's own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

const CHUNK: usize = 64 * 1024;

/// Passes what comes to a port of its own on to `to`, until it is killed.
pub(crate) fn serve(to: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    for client in listener.incoming() {
        let (client, server) = (client?, TcpStream::connect(to)?);
        for (from, into) in [(&client, &server), (&server, &client)] {
            into.set_nodelay(true)?;
            let (from, into) = (from.try_clone()?, into.try_clone()?);
            // Either side may leave.
            thread::spawn(move || _ = pass(from, into));
        }
    }
    Ok(())
}

fn pass(mut from: TcpStream, mut into: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return into.shutdown(Shutdown::Write);
        }
        into.write_all(&buffer[..length])?;
    }
}
