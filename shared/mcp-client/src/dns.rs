//! Names to addresses, with an error that can be told apart from others: a name that does not
//! exist is the target's fault, a resolver that does not answer is ours.

use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::fault::{Fault, is_ours, short};

/// What glibc and musl say when no resolver answers (`EAI_AGAIN`); std passes on the text alone.
const NO_RESOLVER: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

/// The system's resolver.
#[derive(Debug)]
pub(crate) struct SystemResolver;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ResolveError(io::Error);

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is the caller's to set.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveError)?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

impl ResolveError {
    pub(crate) fn fault(&self) -> Fault {
        let text = self.0.to_string();
        if is_ours(&self.0) || NO_RESOLVER.iter().any(|known| text.contains(known)) {
            return Fault::OurSide(format!("no resolver answers: {}", short(&text)));
        }
        Fault::Dns(short(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_resolver_is_our_own_fault() {
        let fault = |text: &str| {
            ResolveError(io::Error::other(format!("failed to lookup address information: {text}")))
                .fault()
        };
        assert!(matches!(fault("Temporary failure in name resolution"), Fault::OurSide(_)));
        assert!(matches!(fault("Name or service not known"), Fault::Dns(_)));
    }
}
