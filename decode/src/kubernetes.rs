//! From a pod's name to the workload that owns it, so that counts and incidents survive a rollout.

/// The owner of a pod, by the way controllers name their pods: `checkout-7dc9f5fbb8-gbfk7` (Deployment, CronJob)
/// and `agent-x7k2m` (DaemonSet, Job) lose their random ends, `db-0` (StatefulSet) its number.
///
/// A word that could be part of a real name stays (`my-nginx`, `payments-frontend-proxy`): Kubernetes draws its random
/// letters from an alphabet without vowels, so an end counts as random when it keeps to that or has a digit.
pub(crate) fn owner(pod: &str) -> &str {
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    if rest.is_empty() {
        return pod;
    }
    // Clusters of old drew from the whole alphabet; behind a hash that has a digit no other word stands.
    if last.len() == 5
        && last.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && let Some((owner, hash)) = rest.rsplit_once('-')
        && !owner.is_empty()
        && is_random(hash, 8..=10)
        && hash.bytes().any(|byte| byte.is_ascii_digit())
    {
        return owner;
    }
    if is_random(last, 5..=5) {
        return match rest.rsplit_once('-') {
            Some((owner, hash)) if !owner.is_empty() && is_random(hash, 8..=10) => owner,
            _ => rest,
        };
    }
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) { rest } else { pod }
}

fn is_random(part: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && (part.bytes().any(|byte| byte.is_ascii_digit())
            || part.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz".contains(&byte)))
}

/// Writes `namespace/name` into `into`; one of the two where there is only one, nothing where there is none.
pub(crate) fn join(into: &mut String, namespace: &str, name: &str) {
    into.push_str(namespace);
    if !namespace.is_empty() && !name.is_empty() {
        into.push('/');
    }
    into.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for (pod, meant) in [
            ("falco-pod-delete-7dc9f5fbb8-gbfk7", "falco-pod-delete"),
            ("checkout-7d9f8b6c5d-x2x4z", "checkout"),
            ("report-28391234-kq2vd", "report"),
            ("node-agent-x7k2m", "node-agent"),
            ("web-bcdfghjk-lmnpq", "web"),
            ("deis-controller-3058870187-xazsr", "deis-controller"),
            ("db-0", "db"),
            ("db-main-12", "db-main"),
            ("kubecon", "kubecon"),
            ("my-nginx", "my-nginx"),
            ("payments-frontend-proxy", "payments-frontend-proxy"),
            ("-x7k2m", "-x7k2m"),
            ("", ""),
        ] {
            assert_eq!(owner(pod), meant, "{pod}");
        }
    }
}
