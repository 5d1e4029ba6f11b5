//! The console over a desk in memory, to look at it: `cargo run -p beaconfire-api --example console -- [full|empty]`.

#[path = "../tests/fake.rs"]
mod fake;

use std::sync::Arc;

use beaconfire_api::{Desk, HttpKnobs, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let desk: Arc<dyn Desk> = match std::env::args().nth(1).as_deref() {
        Some("empty") => fake::Fake::empty(),
        _ => fake::Fake::full(),
    };
    let knobs = HttpKnobs { listen: "127.0.0.1:0".into(), ..HttpKnobs::default() };
    let server = Server::bind(knobs, desk)?;
    println!("http://{}/", server.local_addr()?);
    server.serve(std::future::pending()).await?;
    Ok(())
}
