//! The floor: what any copy that verifies must do, and nothing else.
//!
//! ```text
//!   a thread a file:   GET ──► read 256 KiB ──► SHA-256, CRC32C ──► write ──► PUT     (std, blocking)
//! ```

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sha2::{Digest as _, Sha256};

use crate::content::{COMMIT, NAME, Sample, hexadecimal};

/// Bytes that are read at once: they stay in the processor's cache.
const PART: usize = 256 << 10;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Copy every file from the device into it, verified.
pub(crate) fn copy(url: &str, certificate: Option<&Path>, samples: &[Sample]) -> Result<()> {
    let tls = certificate.map(trusting).transpose()?;
    thread::scope(|scope| {
        let threads: Vec<_> = samples
            .iter()
            .map(|sample| scope.spawn(|| one(url, tls.as_ref(), sample)))
            .collect();
        for ended in threads.into_iter().map(thread::ScopedJoinHandle::join) {
            ended.map_err(|_| anyhow!("a copy broke off"))??;
        }
        Ok(())
    })
}

fn one(url: &str, tls: Option<&Arc<ClientConfig>>, sample: &Sample) -> Result<()> {
    let (_, host) = url.split_once("://").context("a URL")?;
    let mut from = connect(host, tls)?;
    let mut to = connect(host, tls)?;
    let path = format!("/{NAME}/resolve/{COMMIT}/{}", sample.path);
    ask(
        &mut from,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    )?;
    let length = sample.size;
    ensure!(answer(&mut from)?.0 == 200, "the file is not given");
    let open = format!(
        "/upload/storage/v1/b/bench/o?uploadType=resumable&name={}",
        sample.path
    );
    ask(
        &mut to,
        &format!("POST {open} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"),
    )?;
    let place = answer(&mut to)?.1;
    let place = place.strip_prefix(url).context("another place")?;
    ask(
        &mut to,
        &format!(
            "PUT {place} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nContent-Range: bytes 0-{}/{length}\r\n\r\n",
            length - 1
        ),
    )?;
    let (mut sha256, mut crc32c, mut done) = (Sha256::new(), 0, 0);
    let mut part = vec![0; PART];
    while done < length {
        // Not by way of the buffer, once that is empty: it is smaller than a part.
        let read = from.read(&mut part)?;
        ensure!(read > 0, "the file ended early");
        sha256.update(&part[..read]);
        crc32c = crc32c::crc32c_append(crc32c, &part[..read]);
        to.get_mut().write_all(&part[..read])?;
        done += read as u64;
    }
    to.get_mut().flush()?;
    ensure!(answer(&mut to)?.0 == 200, "the file is not kept");
    ensure!(
        hexadecimal(&sha256.finalize()) == sample.sha256 && crc32c == sample.crc32c,
        "wrong bytes"
    );
    Ok(())
}

fn connect(host: &str, tls: Option<&Arc<ClientConfig>>) -> Result<BufReader<Box<dyn Stream>>> {
    let socket = TcpStream::connect(host)?;
    socket.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(tls) => {
            let name = ServerName::try_from("127.0.0.1")?;
            let session = ClientConnection::new(Arc::clone(tls), name)?;
            Box::new(StreamOwned::new(session, socket))
        }
    };
    Ok(BufReader::new(stream))
}

fn ask(stream: &mut BufReader<Box<dyn Stream>>, text: &str) -> Result<()> {
    stream.get_mut().write_all(text.as_bytes())?;
    Ok(stream.get_mut().flush()?)
}

/// The status of an answer, and where it points to.
fn answer(stream: &mut BufReader<Box<dyn Stream>>) -> Result<(u16, String)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("an answer")?.parse()?;
    let mut place = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("location") => {
                value.clone_into(&mut place);
            }
            Some(_) => {}
            None => return Ok((status, place)),
        }
    }
}

fn trusting(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&fs::read(certificate)?)?)?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
