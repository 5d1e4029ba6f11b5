//! `keys`: what bouncers show to read decisions. Kept in the store as hashes; the key itself is printed once.

use std::io::Write;

use anyhow::Context as _;
use beaconfire_config::Config;
use beaconfire_store::{Store, StoreError};
use clap::Subcommand;

use super::Fault;
use super::output::cell;
use super::run::block_on;
use crate::threads::now;

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Make a key and print it, this once.
    Add {
        /// Whose it is: shown in lists and metrics.
        name: String,
    },
    /// The keys' names, and when each was used last.
    List,
    /// Revoke a key: it is refused from now on.
    Revoke {
        /// Which.
        name: String,
    },
}

pub(super) fn run(what: &What, config: &Config, out: &mut impl Write) -> Result<(), Fault> {
    let mut said = Vec::new();
    block_on(async {
        let store = Store::open(&config.store).await.context("opening the store")?;
        let done = act(what, &store, &mut said).await;
        store.close().await;
        done
    })?;
    Ok(out.write_all(&said)?)
}

async fn act(what: &What, store: &Store, out: &mut impl Write) -> Result<(), Fault> {
    match what {
        What::Add { name } => {
            let proper = (1..=64).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if !proper {
                return Err(Fault::Usage(
                    "error: a key's name is 1 to 64 letters, digits, dots, dashes and underscores".to_owned(),
                ));
            }
            let key = match store.key_add(name, now()).await {
                Err(error @ StoreError::KeyExists(_)) => {
                    return Err(Fault::Usage(format!(
                        "error: {error}; revoke it first, or take another name"
                    )));
                }
                made => made.context("making a key")?,
            };
            writeln!(out, "{key}")?;
            eprintln!("this is shown once; bouncers send it as X-Api-Key");
        }
        What::List => {
            let keys = store.key_list().await.context("reading the keys")?;
            writeln!(out, "{:<24} {:<26} {:<26} revoked", "name", "created", "last used")?;
            for key in keys {
                let at = |at: Option<beaconfire_model::Wall>| {
                    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
                };
                let (created, used, revoked) = (key.created, at(key.last_used), at(key.revoked));
                writeln!(out, "{:<24} {created:<26} {used:<26} {revoked}", cell(&key.name))?;
            }
        }
        What::Revoke { name } => {
            if !store.key_revoke(name, now()).await.context("revoking a key")? {
                return Err(Fault::Failed(anyhow::anyhow!("there is no key named {} to revoke", cell(name))));
            }
        }
    }
    Ok(())
}
