//! Reads the host's apt sources, in both formats, and keeps Debian's own archives.

use std::fmt::Write as _;
use std::path::Path;

use crate::tools::{Error, Result, entries, read};

/// One archive of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    uris: String,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
    /// Whether the host trusts it without a signature.
    trusted: Option<String>,
}

/// The Debian archives that the host is set up to use.
pub(crate) fn of_host(etc_apt: &Path, codename: &str) -> Result<Vec<Source>> {
    let mut all = Vec::new();
    let mut files = vec![etc_apt.join("sources.list")];
    let parts = etc_apt.join("sources.list.d");
    if parts.is_dir() {
        files.extend(entries(&parts)?);
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let text = String::from_utf8_lossy(&read(file)?).into_owned();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => all.extend(parse_lines(&text)),
            Some("sources") => all.extend(parse_stanzas(&text)),
            _ => {}
        }
    }
    let kept: Vec<_> = all.into_iter().filter_map(|source| debian_part(source, codename)).collect();
    if kept.is_empty() {
        return Err(Error::Other(format!(
            "no entry for Debian {codename} main in {}: add Debian's archive to the apt sources",
            etc_apt.join("sources.list.d").display()
        )));
    }
    Ok(kept)
}

/// Keeps of `source` the suites and components of the Debian release `codename`.
fn debian_part(mut source: Source, codename: &str) -> Option<Source> {
    let ours = ["", "-updates", "-security", "/updates"].map(|suffix| format!("{codename}{suffix}"));
    source.suites.retain(|suite| ours.contains(suite));
    source.components.retain(|component| component == "main");
    (!source.suites.is_empty() && !source.components.is_empty()).then_some(source)
}

/// The one-line format: `deb [option=value ...] URI suite component...`.
fn parse_lines(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '['])) else {
            continue;
        };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((options, rest)) => (options, rest),
            None => ("", rest),
        };
        let option = |name: &str| {
            options.split_whitespace().find_map(|word| {
                let (key, value) = word.split_once('=')?;
                key.eq_ignore_ascii_case(name).then(|| value.replace(',', " "))
            })
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        if let (Some(uris), Some(suite)) = (words.next(), words.next()) {
            found.push(Source { uris, suites: vec![suite], components: words.collect(), signed_by: option("signed-by"), trusted: option("trusted") });
        }
    }
    found
}

/// The format of Debian control files, one stanza for each archive.
fn parse_stanzas(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let uncommented: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in uncommented.split(|line| line.trim().is_empty()) {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(line);
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).filter(|value| !value.is_empty());
        let words = |name: &str| -> Vec<String> { field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect() };
        if !words("types").contains(&"deb".to_owned()) || field("enabled").as_deref() == Some("no") {
            continue;
        }
        if let Some(uris) = field("uris") {
            found.push(Source {
                uris: uris.split_whitespace().collect::<Vec<_>>().join(" "),
                suites: words("suites"),
                components: words("components"),
                signed_by: field("signed-by"),
                trusted: field("trusted"),
            });
        }
    }
    found
}

/// Which lists of an archive are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lists {
    /// Of the packages of an architecture.
    Packages(&'static str),
    /// Of the source packages.
    Sources,
}

/// Writes the sources for these lists and no others.
pub(crate) fn to_stanzas(sources: &[Source], lists: Lists) -> String {
    let (kind, target) = match lists {
        Lists::Packages(architecture) => ("deb", format!("Architectures: {architecture}\nTargets: Packages")),
        Lists::Sources => ("deb-src", "Targets: Sources".to_owned()),
    };
    let mut text = String::new();
    for source in sources {
        let _ =
            write!(text, "Types: {kind}\nURIs: {}\nSuites: {}\nComponents: {}\n{target}\n", source.uris, source.suites.join(" "), source.components.join(" "));
        for (key, value) in [("Signed-By", &source.signed_by), ("Trusted", &source.trusted)] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key}: {value}");
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "# a comment\n\
        deb [arch=amd64 signed-by=/usr/share/keyrings/d.gpg] http://mirror.test/debian bookworm main contrib\n\
        deb-src http://mirror.test/debian bookworm main\n\
        deb http://mirror.test/security bookworm-security main # trailing\n\
        deb http://other.test/apt stable main\n";

    const STANZAS: &str = "Types: deb deb-src\n# in the middle\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-backports\n\
        Components: main\nSigned-By:\n -----BEGIN-----\n .\n abc\n\n\
        Types: deb\nEnabled: no\nURIs: http://mirror.test/off\nSuites: bookworm\nComponents: main\n\n\
        Types: deb\nURIs: http://other.test/apt\nSuites: nodistro\nComponents: main\n";

    fn kept(all: Vec<Source>) -> Vec<Source> {
        all.into_iter().filter_map(|source| debian_part(source, "bookworm")).collect()
    }

    #[test]
    fn one_line_format_keeps_debian_and_the_key() {
        let kept = kept(parse_lines(LINES));
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].components, ["main"]);
        assert_eq!(kept[0].signed_by.as_deref(), Some("/usr/share/keyrings/d.gpg"));
        assert_eq!(kept[1].suites, ["bookworm-security"]);
        assert_eq!(kept[1].signed_by, None);
    }

    #[test]
    fn stanza_format_keeps_an_inline_key_and_drops_what_is_disabled() {
        let kept = kept(parse_stanzas(STANZAS));
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].suites, ["bookworm"]);
        assert_eq!(kept[0].signed_by.as_deref(), Some("\n -----BEGIN-----\n .\n abc"));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let kept = [kept(parse_lines(LINES)), kept(parse_stanzas(STANZAS))].concat();
        let text = to_stanzas(&kept, Lists::Packages("arm64"));
        assert_eq!(text.matches("Architectures: arm64\n").count(), kept.len());
        assert_eq!(parse_stanzas(&text), kept);
        let text = to_stanzas(&kept, Lists::Sources);
        assert_eq!(text.matches("Types: deb-src\n").count(), kept.len());
        assert_eq!(parse_stanzas(&text.replace("deb-src", "deb")), kept);
    }
}
