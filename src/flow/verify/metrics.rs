//! Proof by metrics of the application: a scrape in the text format of Prometheus or OpenMetrics, or the numbers of a JSON object. IO:
//! requests the URL.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::sys::http;
use crate::sys::server::{Server, Unread};

/// So much of an answer is read: Prometheus itself has some hundred kilobytes.
const LONGEST_BODY: u64 = 16 << 20;
/// End of the names of gauges for the success of the last reload; the name of the gauge for its time has another end
/// (the convention of Prometheus' own programs, `prometheus/common`).
const SUCCESSFUL: &str = "_successful";
const SUCCESS_TIME: &str = "_success_timestamp_seconds";
/// The value that asks for a larger one than before the reload.
const INCREASED: &str = "increased";
/// Largest number of samples of one metric that are compared.
const SAMPLES: usize = 1000;

/// The proof by metrics.
#[derive(Clone, Debug)]
pub struct MetricProof {
    /// The URL that is scraped.
    pub server: Server,
    /// Texts that it must show.
    pub expected: Vec<ExpectedMetric>,
    /// The option of the target's command line that names its address, where the URL has only the usual one.
    pub listen_option: Option<String>,
    /// The URL is a guess: where it does not answer with the metrics before the reload, no proof is asked for.
    pub is_guess: bool,
}

/// One metric, and the value that proves a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedMetric {
    name: String,
    /// Labels that its samples must have.
    labels: Vec<(String, String)>,
    value: ExpectedValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ExpectedValue {
    Is(f64),
    /// Larger than before the reload.
    Increased,
}

/// One sample of a scrape.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// The samples of one scrape that matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape(Vec<Sample>);

/// The metrics before a reload.
#[derive(Debug, Default)]
pub enum Before {
    /// They could not be read.
    #[default]
    Unknown,
    /// They were these.
    Scraped(Scrape),
    /// The process was not there: all that it shows is new.
    Newborn,
}

impl FromStr for ExpectedMetric {
    type Err = &'static str;

    /// Reads `NAME=VALUE` or `NAME{label="value"}=VALUE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "it is NAME=VALUE, such as `prometheus_config_last_reload_successful=1` or `hot_reload_count=increased`";
        let (metric, value) = text.rsplit_once('=').ok_or(FORM)?;
        let (name, labels) = series(metric.trim())
            .filter(|(_, _, rest)| rest.is_empty())
            .map(|(name, labels, _)| (name, labels))
            .ok_or(FORM)?;
        let value = match value.trim() {
            INCREASED => ExpectedValue::Increased,
            number => ExpectedValue::Is(number.parse().ok().filter(|number: &f64| number.is_finite()).ok_or(FORM)?),
        };
        Ok(Self { name, labels, value })
    }
}

impl fmt::Display for ExpectedMetric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.name)?;
        if !self.labels.is_empty() {
            let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            write!(formatter, "{{{}}}", labels.join(","))?;
        }
        match self.value {
            ExpectedValue::Is(value) => write!(formatter, "={value}"),
            ExpectedValue::Increased => write!(formatter, "={INCREASED}"),
        }
    }
}

impl ExpectedMetric {
    /// The metric with the time of the last success, where this one is of a family that has it.
    fn time(&self) -> Option<String> {
        Some(format!("{}{SUCCESS_TIME}", self.name.strip_suffix(SUCCESSFUL)?))
    }

    /// Returns the evidence in `now` for the reload that was requested at `requested`.
    fn evidence(&self, now: &Scrape, before: &Before, requested: SystemTime) -> Result<String, String> {
        let samples = now.samples(&self.name, &self.labels);
        if samples.is_empty() {
            return Err(format!("there is no metric `{}`", self.shown()));
        }
        let earlier = match before {
            Before::Scraped(before) => before.samples(&self.name, &self.labels),
            Before::Unknown | Before::Newborn => Vec::new(),
        };
        match self.value {
            ExpectedValue::Is(expected) => {
                let other = samples.iter().find(|sample| !same(sample.value, expected));
                if let Some(other) = other {
                    return Err(format!("`{}` is {}", self.shown(), other.value));
                }
                let time = self.time().map(|time| self.is_newer(&time, now, before, requested)).transpose()?.flatten();
                let changed = || earlier.iter().any(|sample| !same(sample.value, expected));
                Ok(match time {
                    Some(time) => format!("`{}` is {expected}, and {time}", self.shown()),
                    None if changed() => format!("`{}` is {expected}, and was not before", self.shown()),
                    None => format!("`{}` is {expected}", self.shown()),
                })
            }
            ExpectedValue::Increased => {
                let sum = |samples: &[&Sample]| samples.iter().map(|sample| sample.value).sum::<f64>();
                let (now, then) = (sum(&samples), sum(&earlier));
                match before {
                    Before::Newborn => Ok(format!("the new process shows `{}`", self.shown())),
                    Before::Scraped(_) if now > then => Ok(format!("`{}` was {then} and is {now}", self.shown())),
                    Before::Scraped(_) => Err(format!("`{}` is {now}, and was {then} before", self.shown())),
                    Before::Unknown => Err(format!("`{}` is {now}, and its value before is unknown", self.shown())),
                }
            }
        }
    }

    /// Returns the evidence that the time of the last success is of this reload; `None` if the application does not show it.
    fn is_newer(
        &self,
        time: &str,
        now: &Scrape,
        before: &Before,
        requested: SystemTime,
    ) -> Result<Option<String>, String> {
        let newest =
            |scrape: &Scrape| scrape.samples(time, &self.labels).iter().map(|sample| sample.value).reduce(f64::max);
        let Some(at) = newest(now) else { return Ok(None) };
        // Before the reload it had another value, which no clock has to tell.
        let is_new = match before {
            Before::Scraped(before) => newest(before).is_none_or(|before| !same(at, before)),
            Before::Newborn => true,
            Before::Unknown => {
                requested.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| at >= since.as_secs_f64())
            }
        };
        if is_new {
            Ok(Some(format!("`{time}` is of this reload")))
        } else {
            Err(format!("`{time}` is still that of an earlier reload"))
        }
    }

    fn shown(&self) -> String {
        let text = self.to_string();
        text.rsplit_once('=').map_or_else(|| text.clone(), |(metric, _)| metric.to_owned())
    }
}

/// Equal except for rounding; neither NaN nor infinity is equal to anything.
fn same(one: f64, other: f64) -> bool {
    one.is_finite() && (one - other).abs() <= f64::EPSILON * one.abs().max(other.abs()).max(1.0)
}

impl MetricProof {
    /// The URL for a target with this command line.
    fn url_of(&self, cmdline: &[String]) -> String {
        let address = self.listen_option.as_ref().and_then(|option| option_value(cmdline, option));
        match (address, self.server.url.split_once("://")) {
            (Some(address), Some((scheme, rest))) => {
                let path = rest.find('/').map_or("", |at| &rest[at..]);
                format!("{scheme}://{}{path}", reachable(&address))
            }
            _ => self.server.url.clone(),
        }
    }

    /// Scrapes the metrics that matter.
    ///
    /// # Errors
    /// When they cannot be read, in words.
    pub async fn scrape(&self, cmdline: &[String], timeout: Duration) -> Result<Scrape, Unread> {
        let server = Server { url: self.url_of(cmdline), ..self.server.clone() };
        let wanted: Vec<String> =
            self.expected.iter().flat_map(|metric| [Some(metric.name.clone()), metric.time()]).flatten().collect();
        let text = server.read(LONGEST_BODY, timeout).await;
        let scrape = text.and_then(|text| Scrape::parse(&text, &wanted).map_err(Unread::other));
        scrape.map_err(|error| Unread { message: format!("GET {}: {}", server.shown(), error.message), ..error })
    }

    /// Returns the evidence for the reload that was requested at `requested`.
    ///
    /// # Errors
    /// When it is missing so far, in words.
    pub fn evidence(&self, now: &Scrape, before: &Before, requested: SystemTime) -> Result<String, String> {
        let evidence: Result<Vec<_>, _> =
            self.expected.iter().map(|metric| metric.evidence(now, before, requested)).collect();
        Ok(evidence?.join("; "))
    }

    /// Returns `true` if `scrape` has all of the metrics.
    pub fn is_shown(&self, scrape: &Scrape) -> bool {
        self.expected.iter().all(|metric| !scrape.samples(&metric.name, &metric.labels).is_empty())
    }

    /// A description of the proof.
    pub fn describe(&self) -> String {
        let expected: Vec<_> = self.expected.iter().map(|metric| format!("`{metric}`")).collect();
        format!("{} at {}", expected.join(", "), self.server.shown())
    }
}

/// The value of an option in a command line, as `--option=VALUE` or in the next word; the last one counts.
fn option_value(cmdline: &[String], option: &str) -> Option<String> {
    let words = cmdline.iter().enumerate().rev();
    let mut values = words.filter_map(|(at, word)| match word.strip_prefix('-')?.trim_start_matches('-') {
        word if word == option.trim_start_matches('-') => cmdline.get(at + 1).cloned(),
        word => word.strip_prefix(option.trim_start_matches('-'))?.strip_prefix('=').map(str::to_owned),
    });
    values.next()
}

/// The address at which a listener on `address` is reached from here.
fn reachable(address: &str) -> String {
    let Some((host, port)) = address.rsplit_once(':') else { return address.to_owned() };
    match host {
        "" | "0.0.0.0" | "[::]" | "*" => format!("127.0.0.1:{port}"),
        host => format!("{host}:{port}"),
    }
}

impl Scrape {
    /// Reads the samples of these metrics. Other lines are passed over, whatever they hold.
    ///
    /// # Errors
    /// When one of their lines is no sample.
    pub fn parse(text: &str, wanted: &[String]) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            return Self::parse_json(text, wanted);
        }
        let is_wanted = |line: &&str| {
            let name: &str = line.split(['{', ' ', '\t']).next().unwrap_or_default();
            wanted.iter().any(|wanted| wanted == name)
        };
        let lines = text.lines().map(str::trim_start).filter(is_wanted).take(SAMPLES);
        let samples =
            lines.map(|line| sample(line).ok_or_else(|| format!("a line is no sample: `{}`", http::printable(line))));
        samples.collect::<Result<_, _>>().map(Self)
    }

    /// Reads the numbers of a JSON object as samples.
    fn parse_json(text: &str, wanted: &[String]) -> Result<Self, String> {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| format!("the answer is no JSON object: {error}"))?;
        let numbers = object.into_iter().filter(|(name, _)| wanted.contains(name));
        let samples =
            numbers.filter_map(|(name, value)| Some(Sample { name, labels: Vec::new(), value: value.as_f64()? }));
        Ok(Self(samples.collect()))
    }

    fn samples(&self, name: &str, labels: &[(String, String)]) -> Vec<&Sample> {
        let fits = |sample: &&Sample| sample.name == name && labels.iter().all(|label| sample.labels.contains(label));
        self.0.iter().filter(fits).collect()
    }
}

/// Reads one line: `name{label="value",…} value [timestamp]`; what follows the value is left alone.
fn sample(line: &str) -> Option<Sample> {
    let (name, labels, rest) = series(line)?;
    let value = match rest.split_whitespace().next()? {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().ok()?,
    };
    Some(Sample { name, labels, value })
}

/// Names and values of labels.
type Labels = Vec<(String, String)>;

/// Reads a name and its labels, and returns what follows.
fn series(text: &str) -> Option<(String, Labels, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let Some(mut rest) = rest.strip_prefix('{') else { return Some((name.to_owned(), Vec::new(), rest)) };
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((name.to_owned(), labels, rest));
        }
        let (label, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((label.trim().to_owned(), value));
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Reads the rest of a quoted value, with `\\`, `\"` and `\n` in it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "prometheus_config_last_reload_successful";

    fn proof(expected: &[&str]) -> MetricProof {
        let expected = expected.iter().map(|text| text.parse().expect("it is one")).collect();
        let server = "http://127.0.0.1:9090/metrics".to_owned().into();
        MetricProof { server, expected, listen_option: None, is_guess: false }
    }

    fn scrape(text: &str) -> Scrape {
        let wanted = [NAME, "prometheus_config_last_reload_success_timestamp_seconds", "count"].map(str::to_owned);
        Scrape::parse(text, &wanted).expect("it can be read")
    }

    fn page(successful: &str, time: &str) -> Scrape {
        scrape(&format!(
            "# HELP {NAME} Whether it was.\n# TYPE {NAME} gauge\n{NAME} {successful}\n\
             prometheus_config_last_reload_success_timestamp_seconds {time}\nnot wanted {{\n"
        ))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_success_counts_with_another_time_alone() {
        let proof = proof(&[&format!("{NAME}=1")]);
        let before = page("1", "1.7e+09");
        let said = |now: &Scrape, before: Option<&Scrape>| {
            proof.evidence(now, &before.cloned().map_or(Before::Unknown, Before::Scraped), at(1_700_000_100))
        };
        assert_eq!(
            said(&before, Some(&before)).unwrap_err(),
            "`prometheus_config_last_reload_success_timestamp_seconds` is still that of an earlier reload"
        );
        assert!(
            said(&page("1", "1.700000101e+09"), Some(&before))
                .is_ok_and(|evidence| evidence.ends_with("is of this reload"))
        );
        assert!(said(&page("1", "1.6e+09"), Some(&before)).is_ok(), "the clock was set back meanwhile");
        assert_eq!(said(&page("0", "1.7e+09"), Some(&before)).unwrap_err(), format!("`{NAME}` is 0"));
        // Without a scrape before, the clock decides.
        assert!(said(&page("1", "1.700000099e+09"), None).is_err());
        assert!(said(&page("1", "1.7000001e+09"), None).is_ok());
    }

    #[test]
    fn a_metric_without_a_time_is_its_value() {
        let proof = proof(&[&format!("{NAME}=1")]);
        let said =
            |now, before: &str| proof.evidence(&scrape(now), &Before::Scraped(scrape(before)), at(0)).expect("it is 1");
        let now = format!("{NAME} 1\n");
        assert_eq!(said(&now, &now), format!("`{NAME}` is 1"));
        assert_eq!(said(&now, &format!("{NAME} 0\n")), format!("`{NAME}` is 1, and was not before"));
    }

    #[test]
    fn nothing_else_is_a_proof() {
        let proof = proof(&[&format!("{NAME}=1")]);
        for (text, reason) in [
            ("", "there is no metric"),
            ("prometheus_config_last_reload_successful_total 1\n", "there is no metric"),
            ("prometheus_config_last_reload_successful NaN\n", "is NaN"),
            ("prometheus_config_last_reload_successful +Inf\n", "is inf"),
            (
                "prometheus_config_last_reload_successful{a=\"x\"} 1\nprometheus_config_last_reload_successful{a=\"y\"} 0\n",
                "is 0",
            ),
        ] {
            let error = proof.evidence(&scrape(text), &Before::Unknown, at(0)).expect_err("it is none");
            assert!(error.contains(reason), "{text}: {error}");
        }
        let broken = Scrape::parse(&format!("{NAME} one\n"), &[NAME.into()]).expect_err("it is no number");
        assert!(broken.contains("no sample"), "{broken}");
    }

    #[test]
    fn labels_select_samples() {
        let proof = proof(&["count{job=\"a \\\"b\\\"\"}=2"]);
        assert_eq!(proof.expected[0].shown(), "count{job=\"a \\\"b\\\"\"}");
        let page = "count{job=\"other\",x=\"1\"} 9\ncount{x=\"1\", job=\"a \\\"b\\\"\"} 2 1700000000000\n";
        assert!(proof.evidence(&scrape(page), &Before::Unknown, at(0)).is_ok());
        assert!(proof.evidence(&scrape("count{job=\"other\"} 2\n"), &Before::Unknown, at(0)).is_err());
    }

    #[test]
    fn a_count_must_increase() {
        let proof = proof(&["count=increased"]);
        let said = |now, before: Option<&str>| {
            let before = before.map_or(Before::Unknown, |before| Before::Scraped(scrape(before)));
            proof.evidence(&scrape(now), &before, at(0))
        };
        assert_eq!(said("count 3\n", Some("count 2\n")), Ok("`count` was 2 and is 3".into()));
        assert_eq!(
            said("{\"count\": 1, \"other\": \"x\"}", Some("{\"count\":0}")),
            Ok("`count` was 0 and is 1".into())
        );
        assert!(said("count 2\n", Some("count 2\n")).is_err());
        assert!(said("count 2\n", None).is_err());
        assert!(said("{\"count\": \"2\"}", Some("count 1\n")).is_err());
    }

    #[test]
    fn what_is_expected_is_read_strictly() {
        for text in ["", "a", "=1", "a=", "a=x", "1a=1", "a{b}=1", "a{b=\"c\"}x=1", "a b=1", "a=NaN"] {
            assert!(text.parse::<ExpectedMetric>().is_err(), "{text}");
        }
        for text in ["a=1", "a:b=increased", "a{b=\"c=d\"}=0.5"] {
            assert_eq!(text.parse::<ExpectedMetric>().map(|metric| metric.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn the_address_of_a_target_is_that_of_its_command_line() {
        let guess = MetricProof { listen_option: Some("--web.listen-address".into()), ..proof(&["a=1"]) };
        for (words, expected) in [
            (&["prometheus"][..], "http://127.0.0.1:9090/metrics"),
            (&["prometheus", "--web.listen-address=:9999"], "http://127.0.0.1:9999/metrics"),
            (&["prometheus", "--web.listen-address", "0.0.0.0:9998"], "http://127.0.0.1:9998/metrics"),
            (&["prometheus", "-web.listen-address=10.0.0.1:9997"], "http://10.0.0.1:9997/metrics"),
            (&["prometheus", "--web.listen-address=[::]:9996"], "http://127.0.0.1:9996/metrics"),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(guess.url_of(&words), expected);
        }
    }
}
