//! From a listening socket to connections that gRPC can use, TLS included.
//!
//! Handshakes run beside each other, so a client that stalls in its own holds nobody up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::listen::Listener;
use super::log;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long to leave the listener alone after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A byte stream of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One client, ready to be served.
pub(super) struct Connection(Box<dyn Stream>);

/// The clients of a listener, each after its TLS handshake where there is TLS. Who fails in it is
/// dropped. The listener closes with the stream.
pub(super) fn incoming(
    listener: Listener,
    tls: Option<TlsAcceptor>,
) -> ReceiverStream<io::Result<Connection>> {
    let (clients, stream) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = clients.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(client) => {
                    tokio::spawn(admit(client, tls.clone(), clients.clone()));
                }
                Err(error) => {
                    log::warn(
                        "serve",
                        "a connection was not accepted",
                        &[("error", &error)],
                    );
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(stream)
}

async fn admit(
    client: Box<dyn Stream>,
    tls: Option<TlsAcceptor>,
    clients: mpsc::Sender<io::Result<Connection>>,
) {
    let client = match tls {
        None => client,
        Some(acceptor) => {
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(client)).await {
                Ok(Ok(client)) => Box::new(client),
                Ok(Err(error)) => {
                    log::warn(
                        "serve",
                        "a client failed in the TLS handshake",
                        &[("error", &error)],
                    );
                    return;
                }
                Err(_) => {
                    log::warn("serve", "a client did not finish the TLS handshake", &[]);
                    return;
                }
            }
        }
    };
    // A closed channel means that the server is on its way out.
    let _ending = clients.send(Ok(Connection(client))).await;
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
