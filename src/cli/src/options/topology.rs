//! `-smp`: from what was given to a full and consistent arrangement.

use crate::config::Smp;
use crate::error::Problem;
use crate::keyval::KeyValues;

pub(super) const SMP_KEYS: &[&str] = &["cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads"];

/// More processors than any board has; a board may have a lower limit.
const MOST: u64 = 4096;

/// Settles what was not given. As in QEMU since 6.2: missing cores take up what processors there
/// are, then missing sockets, then missing threads.
pub(super) fn resolve(mut given: KeyValues) -> Result<Smp, Problem> {
    let mut level = |key: &'static str| -> Result<Option<u64>, Problem> {
        match given.take_number(key)? {
            Some(0) => Err(format!("'{key}' is 0; a machine has 1 or more").into()),
            Some(n) if n > MOST => Err(format!("'{key}' is {n}; {MOST} is the most").into()),
            n => Ok(n),
        }
    };
    let (cpus, max_cpus) = (level("cpus")?, level("maxcpus")?);
    let (sockets, dies, clusters) = (level("sockets")?, level("dies")?, level("clusters")?);
    let (cores, threads) = (level("cores")?, level("threads")?);
    given.nothing_left(SMP_KEYS)?;

    let (dies, clusters) = (dies.unwrap_or(1), clusters.unwrap_or(1));
    let fill = |others: u64| max_cpus.or(cpus).map_or(1, |all| all / others);
    let (sockets, cores, threads) = match (sockets, cores, threads) {
        (sockets, None, threads) => {
            let (sockets, threads) = (sockets.unwrap_or(1), threads.unwrap_or(1));
            (sockets, fill(sockets * dies * clusters * threads), threads)
        }
        (None, Some(cores), threads) => {
            let threads = threads.unwrap_or(1);
            (fill(dies * clusters * cores * threads), cores, threads)
        }
        (Some(sockets), Some(cores), None) => (sockets, cores, fill(sockets * dies * clusters * cores)),
        (Some(sockets), Some(cores), Some(threads)) => (sockets, cores, threads),
    };
    let product = sockets * dies * clusters * cores * threads;
    let max_cpus = max_cpus.or(cpus).unwrap_or(product);
    let cpus = cpus.unwrap_or(max_cpus);
    if product != max_cpus {
        return Err(format!(
            "sockets {sockets} x dies {dies} x clusters {clusters} x cores {cores} x threads \
             {threads} is {product}, not the {max_cpus} of maxcpus; make them agree"
        )
        .into());
    }
    if cpus > max_cpus {
        return Err(format!("{cpus} cpus are more than maxcpus={max_cpus}").into());
    }
    if max_cpus > MOST {
        return Err(format!("{max_cpus} processors; {MOST} is the most").into());
    }
    let [cpus, max_cpus, sockets, dies, clusters, cores, threads] = [cpus, max_cpus, sockets, dies, clusters, cores, threads].map(|n| n as u32);
    Ok(Smp { cpus, max_cpus, sockets, dies, clusters, cores, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_filled_in_as_qemu_does() {
        // cpus, max, sockets, dies, clusters, cores, threads
        for (text, expected) in [
            ("4", [4, 4, 1, 1, 1, 4, 1]),
            ("cpus=2,maxcpus=8", [2, 8, 1, 1, 1, 8, 1]),
            ("8,sockets=2", [8, 8, 2, 1, 1, 4, 1]),
            ("8,cores=2", [8, 8, 4, 1, 1, 2, 1]),
            ("8,sockets=2,cores=2", [8, 8, 2, 1, 1, 2, 2]),
            ("8,clusters=2,threads=2", [8, 8, 1, 1, 2, 2, 2]),
            ("sockets=2,cores=3", [6, 6, 2, 1, 1, 3, 1]),
            ("1,sockets=1,cores=1,threads=1", [1, 1, 1, 1, 1, 1, 1]),
            ("2,sockets=2,cores=1,threads=1", [2, 2, 2, 1, 1, 1, 1]),
            ("", [1, 1, 1, 1, 1, 1, 1]),
        ] {
            let smp = resolve(KeyValues::parse(text, Some("cpus")).unwrap()).unwrap();
            let got = [smp.cpus, smp.max_cpus, smp.sockets, smp.dies, smp.clusters, smp.cores, smp.threads];
            assert_eq!(got, expected, "{text}");
        }
        for (text, says) in [
            ("0", "'cpus' is 0"),
            ("4,cores=0", "'cores' is 0"),
            ("3,cores=2", "not the 3 of maxcpus"),
            ("8,maxcpus=4", "8 cpus are more than maxcpus=4"),
            ("4,sockets=8", "make them agree"),
            ("4097", "4096 is the most"),
            ("sockets=4096,dies=4096,clusters=4096,cores=4096,threads=4096", "is the most"),
            ("18446744073709551616", "is a number"),
            ("4,books=2", "unknown key 'books'"),
        ] {
            let error = resolve(KeyValues::parse(text, Some("cpus")).unwrap()).unwrap_err();
            assert!(error.0.contains(says), "{text}: {}", error.0);
        }
    }
}
