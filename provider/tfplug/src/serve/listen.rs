//! The socket that Terraform connects to: a unix socket in a folder of its own, or loopback TCP.
//!
//! The folder is readable by the user alone (or by the group that the host names), so nobody else on
//! the machine reaches the provider. TCP is the way out where there are no unix sockets, or where the
//! path would not fit into a socket address.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdTcpListener};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use super::connection::Stream;
use super::handshake::Host;

#[cfg(unix)]
use unix::bind as bind_unix;

/// Where Terraform finds us, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    network: &'static str,
    text: String,
}

impl Address {
    pub(super) fn unix(path: &Path) -> Self {
        Self {
            network: "unix",
            text: path.display().to_string(),
        }
    }

    fn tcp(port: u16) -> Self {
        Self {
            network: "tcp",
            text: format!("{}:{port}", Ipv4Addr::LOCALHOST),
        }
    }

    /// `unix` or `tcp`.
    pub(super) fn network(&self) -> &'static str {
        self.network
    }

    /// A path, or `127.0.0.1:port`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// A socket that is bound and listens.
pub(super) struct Listener {
    socket: Socket,
    address: Address,
}

enum Socket {
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The next client.
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match &self.socket {
            #[cfg(unix)]
            Socket::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without it Nagle's algorithm costs 40 ms per call.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The folder of the socket, if it has one; removed with everything in it on drop. Apart from the
/// listener, so that whoever ends the process can remove it at a known moment.
#[must_use]
pub(super) struct SocketFile(Option<PathBuf>);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Nobody is left to tell; the operating system clears its temporary folder in time.
            let _gone = std::fs::remove_dir_all(folder);
        }
    }
}

/// Binds as the host asks.
pub(super) fn bind(host: &Host) -> io::Result<(Listener, SocketFile)> {
    #[cfg(unix)]
    {
        let base = host
            .socket_folder()
            .map_or_else(std::env::temp_dir, Path::to_path_buf);
        if let Some(bound) = bind_unix(&base, host.socket_group())? {
            return Ok(bound);
        }
    }
    bind_tcp(host.ports())
}

/// Binds for anyone of this user, in the temporary folder.
pub(super) fn bind_anywhere() -> io::Result<(Listener, SocketFile)> {
    #[cfg(unix)]
    if let Some(bound) = bind_unix(&std::env::temp_dir(), None)? {
        return Ok(bound);
    }
    bind_tcp(0..=0)
}

fn bind_tcp(ports: impl Iterator<Item = u16>) -> io::Result<(Listener, SocketFile)> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host allows no port");
    for port in ports {
        match StdTcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                let address = Address::tcp(listener.local_addr()?.port());
                let socket = Socket::Tcp(TcpListener::from_std(listener)?);
                return Ok((Listener { socket, address }, SocketFile(None)));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(unix)]
mod unix {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};

    use tokio::net::UnixListener;

    use super::{Address, Listener, Path, PathBuf, Socket, SocketFile, io};

    /// Longest path in a socket address, without its final zero.
    const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

    /// Binds in a fresh folder below `base`; `None` where the path would be too long.
    pub(super) fn bind(
        base: &Path,
        group: Option<&str>,
    ) -> io::Result<Option<(Listener, SocketFile)>> {
        let group = group.map(group_id).transpose()?;
        if base.join(name(0)).join("s").as_os_str().as_bytes().len() > LONGEST_PATH {
            return Ok(None);
        }
        let folder = fresh_folder(base)?;
        let file = SocketFile(Some(folder.clone()));
        let path = folder.join("s");
        let listener = UnixListener::bind(&path)?;
        if let Some(group) = group {
            for (path, mode) in [(&path, 0o660), (&folder, 0o710)] {
                chown(path, None, Some(group))?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            }
        }
        Ok(Some((
            Listener {
                socket: Socket::Unix(listener),
                address: Address::unix(&path),
            },
            file,
        )))
    }

    /// Makes a folder that was not there, for the user alone.
    fn fresh_folder(base: &Path) -> io::Result<PathBuf> {
        let mut attempts = 0;
        loop {
            let folder = base.join(name(RandomState::new().hash_one(attempts)));
            match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < 16 => {
                    attempts += 1;
                }
                made => return made.map(|()| folder),
            }
        }
    }

    /// Always of one length, so that the longest path is known beforehand.
    fn name(random: u64) -> String {
        format!("tfplug-{random:016x}")
    }

    /// The number of a group that is given by number or by name.
    fn group_id(group: &str) -> io::Result<u32> {
        if let Ok(id) = group.parse() {
            return Ok(id);
        }
        let groups = std::fs::read_to_string("/etc/group")?;
        let found = groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(group))
                .then(|| fields.nth(1)?.parse().ok())
                .flatten()
        });
        found.ok_or_else(|| {
            let text =
                format!("PLUGIN_UNIX_SOCKET_GROUP names {group:?}, which /etc/group does not have");
            io::Error::new(io::ErrorKind::NotFound, text)
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn mode(path: &Path) -> u32 {
            std::fs::metadata(path)
                .expect("it exists")
                .permissions()
                .mode()
                & 0o777
        }

        #[tokio::test]
        async fn the_socket_is_for_the_user_alone_and_goes_with_its_holder() {
            let base = tempfile::tempdir().expect("a folder");
            let (listener, file) = bind(base.path(), None).expect("binds").expect("fits");
            let path = PathBuf::from(listener.address().text());
            let folder = path.parent().expect("a folder").to_path_buf();
            assert_eq!(listener.address().network(), "unix");
            assert_eq!(mode(&folder), 0o700);
            drop(listener);
            assert!(path.exists());
            drop(file);
            assert!(!folder.exists());
        }

        #[tokio::test]
        async fn a_group_may_be_let_in() {
            let base = tempfile::tempdir().expect("a folder");
            let own = rustix::process::getgid().as_raw().to_string();
            let (listener, _file) = bind(base.path(), Some(&own)).expect("binds").expect("fits");
            let path = PathBuf::from(listener.address().text());
            assert_eq!(
                (mode(&path), mode(path.parent().expect("a folder"))),
                (0o660, 0o710)
            );

            let unknown = bind(base.path(), Some("no such group"))
                .err()
                .expect("is refused");
            assert!(unknown.to_string().contains("no such group"), "{unknown}");
        }

        #[tokio::test]
        async fn a_path_too_long_for_a_socket_is_left_to_tcp() {
            let base = tempfile::tempdir().expect("a folder");
            let long = base.path().join("x".repeat(100));
            std::fs::create_dir(&long).expect("a long folder");
            assert!(bind(&long, None).expect("is no error").is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tcp_takes_the_first_free_port_of_the_range() {
        let taken = StdTcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("any port");
        let port = taken.local_addr().expect("it is bound").port();
        let (listener, _file) = bind_tcp([port, 0].into_iter()).expect("the second is free");
        assert_ne!(listener.address().text(), format!("127.0.0.1:{port}"));
        assert!(listener.address().text().starts_with("127.0.0.1:"));
        assert!(bind_tcp([port].into_iter()).is_err());
    }
}
