//! Where a workload's lookups of pools led: so that its connections can be told from others to the same address,
//! without ever resolving a name ourselves.

use std::net::{IpAddr, Ipv6Addr};

use super::deed::Answers;
use crate::sealed::End;

/// The last addresses that answered a pool's name. Eight are more than a pool answers with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairing {
    addresses: Vec<IpAddr>,
}

const KEPT: usize = 8;

impl Pairing {
    pub(crate) fn learn(&mut self, answers: &[IpAddr]) {
        for address in answers.iter().take(KEPT).map(IpAddr::to_canonical) {
            if self.addresses.contains(&address) {
                continue;
            }
            if self.addresses.len() == KEPT {
                self.addresses.remove(0);
            }
            self.addresses.push(address);
        }
    }

    pub(crate) fn walk(&mut self, end: &mut impl End) {
        let mut count = self.addresses.len();
        end.size(&mut count, KEPT);
        self.addresses.resize(count, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        for address in &mut self.addresses {
            let wide = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => *v6,
            };
            *address = IpAddr::V6(end.bytes(wide.octets()).into()).to_canonical();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.addresses.capacity() * size_of::<IpAddr>()
    }
}

impl Answers for Pairing {
    fn pool_at(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }
}
