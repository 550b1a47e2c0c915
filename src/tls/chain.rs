//! The order of a chain: the certificate of the key, its issuer, the issuer of that one.
//!
//! TLS 1.2 demands this order (RFC 5246, section 7.4.2), and many clients of TLS 1.3 too.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::facts::Facts;

/// A chain in order: positions in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The certificate of the key first.
    pub(super) sent: Vec<usize>,
    /// Whether the file has another order.
    pub(super) is_sorted: bool,
    /// How many certificates of the file belong to another chain.
    pub(super) extra: usize,
}

/// Orders the certificates behind the one with this public key. `None` if no certificate has it.
pub(super) fn order(certificates: &[Facts], public_key: &[u8]) -> Option<Order> {
    let leaf = certificates.iter().position(|facts| facts.public_key == public_key)?;
    let mut sent = vec![leaf];
    let mut last = certificates.get(leaf)?;
    while !last.is_self_issued() {
        let is_issuer = |(index, facts): &(usize, &Facts)| {
            facts.raw_subject == last.raw_issuer && !sent.contains(index)
        };
        // The next one of the file first: an authority may have several certificates.
        let behind = sent.last().map_or(0, |index| index + 1);
        let (before, rest) = certificates.split_at(behind.min(certificates.len()));
        let rest = rest.iter().enumerate().map(|(index, facts)| (index + behind, facts));
        let mut candidates = rest.chain(before.iter().enumerate());
        let Some((index, issuer)) = candidates.find(is_issuer) else { break };
        sent.push(index);
        last = issuer;
    }
    let is_sorted = sent.iter().enumerate().any(|(place, index)| place != *index);
    let extra = certificates.len() - sent.len();
    Some(Order { sent, is_sorted, extra })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of the key `subject`, signed by `issuer`.
    fn facts(text: &str) -> Facts {
        let (subject, issuer) = text.split_once('<').unwrap();
        Facts {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            raw_subject: subject.as_bytes().to_vec(),
            raw_issuer: issuer.as_bytes().to_vec(),
            public_key: subject.as_bytes().to_vec(),
            dns_names: Vec::new(),
            other_names: Vec::new(),
            not_before: 0,
            not_after: 0,
            is_authority: false,
            has_issuer_url: false,
            weak_signature: None,
            rsa_bits: None,
        }
    }

    fn check(file: &str, key: &str, expected: Option<(&[usize], bool, usize)>) {
        let certificates: Vec<Facts> = file.split(' ').map(facts).collect();
        let expected = expected.map(|(sent, is_sorted, extra)| Order {
            sent: sent.to_vec(),
            is_sorted,
            extra,
        });
        assert_eq!(order(&certificates, key.as_bytes()), expected, "{file}");
    }

    #[test]
    fn a_chain_is_sent_from_the_certificate_of_the_key_upwards() {
        check("a<b", "a", Some((&[0], false, 0)));
        check("a<a", "a", Some((&[0], false, 0)));
        check("a<b b<c c<c", "a", Some((&[0, 1, 2], false, 0)));
        check("c<c b<c a<b", "a", Some((&[2, 1, 0], true, 0)));
        check("b<c a<b", "a", Some((&[1, 0], true, 0)));
        check("a<b x<y b<c", "a", Some((&[0, 2], true, 1)));
        check("a<b x<y", "a", Some((&[0], false, 1)));
        check("a<b", "b", None);
    }

    #[test]
    fn certificates_that_sign_each_other_have_an_end() {
        check("a<b b<a", "a", Some((&[0, 1], false, 0)));
    }

    #[test]
    fn the_next_certificate_of_the_file_comes_before_an_earlier_one_of_the_same_authority() {
        check("b<x a<b b<c", "a", Some((&[1, 2], true, 1)));
    }
}
