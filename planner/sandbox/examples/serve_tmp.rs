//! tmp
use openmodel_sandbox::*;
fn main() {
    let s = Sandbox::start(Options {
        port: std::env::args()
            .nth(1)
            .and_then(|p| p.parse().ok())
            .unwrap_or(0),
        ..Options::default()
    })
    .expect("start");
    std::fs::write("/tmp/h4/url", s.url()).expect("url");
    loop {
        std::thread::park();
    }
}
