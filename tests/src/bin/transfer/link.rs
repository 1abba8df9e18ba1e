//! One connection of the device: requests are read, blocks leave and bodies are swallowed, as cheaply as
//! the kernel lets us.
//!
//! ```text
//!   plain   out: sendfile from memory, no copy of ours      in: recv with MSG_TRUNC, bytes are not copied
//!   TLS     out: the block, encrypted                       in: decrypted, dropped
//! ```

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, recv};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::content::{piece, together};

/// The block, in memory and as a file of the kernel's.
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    pub(crate) file: File,
}

/// A connection that was taken.
pub(crate) enum Link {
    Plain(BufReader<TcpStream>),
    Tls(Box<BufReader<StreamOwned<ServerConnection, TcpStream>>>),
}

/// A request without its body.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn asked(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn length(&self) -> u64 {
        self.header("content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }
}

impl Link {
    pub(crate) fn new(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(Self::Plain(BufReader::new(socket)));
        };
        let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
        let stream = BufReader::new(StreamOwned::new(session, socket));
        Ok(Self::Tls(Box::new(stream)))
    }

    /// The next request; `None` after the last.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        let first = self.line()?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let base = url::Url::parse("http://device").map_err(io::Error::other)?;
        let url = base.join(target).map_err(io::Error::other)?;
        let decoded = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
        let mut head = Head {
            method: method.to_owned(),
            path: decoded.into_owned(),
            query: url.query_pairs().into_owned().collect(),
            headers: Vec::new(),
        };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Some(head));
            };
            head.headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self {
            Self::Plain(stream) => stream.read_line(&mut line)?,
            Self::Tls(stream) => stream.read_line(&mut line)?,
        };
        Ok(line.trim_end().to_owned())
    }

    /// A body that is needed.
    pub(crate) fn body(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match self {
            Self::Plain(stream) => stream.by_ref().take(length).read_to_end(&mut body)?,
            Self::Tls(stream) => stream.by_ref().take(length).read_to_end(&mut body)?,
        };
        Ok(body)
    }

    /// A body that is looked at, piece by piece.
    pub(crate) fn look(&mut self, length: u64, mut with: impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        let mut space = vec![0; 256 << 10];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
            let read = match self {
                Self::Plain(stream) => stream.read(&mut space[..most])?,
                Self::Tls(stream) => stream.read(&mut space[..most])?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            with(&space[..read]);
            left -= read as u64;
        }
        Ok(())
    }

    /// A body that nobody needs.
    pub(crate) fn swallow(&mut self, length: u64) -> io::Result<()> {
        let Self::Plain(stream) = self else {
            return self.look(length, |_| {});
        };
        let buffered = stream
            .buffer()
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX));
        stream.consume(buffered);
        let mut left = length - buffered as u64;
        // Of TCP, the kernel drops with this flag as many bytes as there are, up to the size of a space
        // that it does not touch.
        let mut space = vec![0; 1 << 20];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
            let socket = stream.get_ref().as_raw_fd();
            match recv(socket, &mut space[..most], MsgFlags::MSG_TRUNC)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.get_mut().write_all(bytes),
            Self::Tls(stream) => {
                stream.get_mut().write_all(bytes)?;
                stream.get_mut().flush()
            }
        }
    }

    /// So many bytes of the endless block, from a place on.
    pub(crate) fn send(&mut self, block: &Block, place: u64, length: u64) -> io::Result<()> {
        let mut done = 0;
        while done < length {
            done += match self {
                Self::Plain(stream) => {
                    let (first, most) = together(place + done, length - done);
                    let mut offset = i64::try_from(first).map_err(io::Error::other)?;
                    let most = usize::try_from(most).map_err(io::Error::other)?;
                    sendfile(stream.get_ref(), &block.file, Some(&mut offset), most)? as u64
                }
                Self::Tls(stream) => {
                    let part = piece(&block.bytes, place + done, (length - done).min(256 << 10));
                    stream.get_mut().write_all(part)?;
                    part.len() as u64
                }
            };
        }
        self.write(b"")
    }
}
