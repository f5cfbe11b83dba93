//! The project's own commands. `cargo xtask help` lists them.
//!
//! Everything that CI does is one of these commands, so that it can be done the same way on any machine.

mod bench;
mod deny;
mod faults;
mod fuzz;
mod instructions;
mod lint;
mod mutants;
mod process;
mod repeat;
mod server;
mod simulate;
mod source;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::prelude::*;

use fuzz::Limit;
use mutants::Shard;

/// An error is a text for the person in front of the terminal; nothing matches on it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// For how long `fuzz` runs each target if not told otherwise: with two at once, on a machine of two processors, fourteen
/// targets take three and a half minutes.
const FUZZ_TIME: Limit = Limit::Seconds(30);

/// Seeds that `simulate` runs if not told otherwise.
const SIMULATED_SEEDS: u64 = 10_000;

/// How often `repeat` runs the tests if not told otherwise.
const REPEATS: u32 = 50;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [-- ARGS]      all tests, on real servers; ARGS go to `cargo test --workspace`
  repeat [N]          the tests N times (default: 50), optimized, to find those that do not always pass
  server              finds or fetches the nats-server releases and prints their paths
  lint                formatting, clippy, documentation, dependencies, house rules, features
  no-std              builds and runs the program that has no std
  simulate [--seeds N]
                      N seeds of the simulation (default: 10000), a fifth as many with whole clients, and that it
                      finds planted mistakes
  faults [--long] [NAME]...
                      kills, pauses and retires servers under load, storms and soaks, and prints the figures
  fuzz [--seconds N | --minutes N | --runs N] [TARGET]...
                      runs fuzz targets for N seconds each (default: 30), for N minutes in all, or N times each
                      with short inputs
  fuzz --minimize [TARGET]...
                      puts into fuzz/corpus what such runs have found and reaches more, and takes out what does not
  mutants [--shard K/N]
                      changes one line of nats-proto after the other, and says what no test notices: hours
  bench [--quick] [-- ARGS]
                      measures this client and its peers; `bench -- --help` lists ARGS
  instructions [--record]
                      counts the instructions of the codec and the data path, and compares them with what
                      is recorded
  deny                licences, bans, sources and advisories of dependencies, with cargo-deny
  help                this text";

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Test { cargo_args: Vec<OsString> },
    Bench { bench_args: Vec<OsString> },
    Repeat { rounds: u32 },
    Server,
    Lint,
    NoStd,
    Simulate { seeds: u64 },
    Faults { long: bool, filters: Vec<OsString> },
    Fuzz { limit: Limit, targets: Vec<String> },
    Minimize { targets: Vec<String> },
    Mutants { shard: Shard },
    Instructions { record: bool },
    Deny,
    Help,
}

fn main() -> ExitCode {
    let command = match parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let result = match &command {
        Command::Test { cargo_args } => test::run(cargo_args),
        Command::Bench { bench_args } => bench::run(bench_args),
        Command::Repeat { rounds } => repeat::run(*rounds),
        Command::Server => server::print_paths(),
        Command::Lint => lint::run(),
        Command::NoStd => test::no_std(),
        Command::Simulate { seeds } => simulate::run(*seeds),
        Command::Faults { long, filters } => faults::run(*long, filters),
        Command::Fuzz { limit, targets } => fuzz::run(*limit, targets),
        Command::Minimize { targets } => fuzz::minimize(targets),
        Command::Mutants { shard } => mutants::run(*shard),
        Command::Instructions { record } => instructions::run(*record),
        Command::Deny => deny::run(),
        Command::Help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
    };
    match result {
        Ok(()) => {
            // `server` is made for scripts: its output is the paths alone.
            if command != Command::Server {
                println!("\nok, in {} s", started.elapsed().as_secs());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut parser: lexopt::Parser) -> std::result::Result<Command, lexopt::Error> {
    let Some(name) = parser.next()? else {
        return Err("a command is missing".into());
    };
    let name = match name {
        Short('h') | Long("help") => return Ok(Command::Help),
        Value(name) => name.string()?,
        other => return Err(other.unexpected()),
    };
    let mut command = match name.as_str() {
        "test" => Command::Test { cargo_args: Vec::new() },
        "bench" => Command::Bench { bench_args: Vec::new() },
        "repeat" => Command::Repeat { rounds: REPEATS },
        "server" => Command::Server,
        "lint" => Command::Lint,
        "no-std" => Command::NoStd,
        "simulate" => Command::Simulate { seeds: SIMULATED_SEEDS },
        "faults" => Command::Faults { long: false, filters: Vec::new() },
        "fuzz" => Command::Fuzz { limit: FUZZ_TIME, targets: Vec::new() },
        "mutants" => Command::Mutants { shard: Shard::ALL },
        "instructions" => Command::Instructions { record: false },
        "deny" => Command::Deny,
        "help" => Command::Help,
        _ => return Err(format!("unknown command '{name}'").into()),
    };
    while let Some(argument) = parser.next()? {
        match (&mut command, argument) {
            // What follows `--` comes as plain values, whatever it looks like.
            (Command::Test { cargo_args }, Value(value)) => cargo_args.push(value),
            (Command::Repeat { rounds }, Value(value)) => *rounds = value.parse()?,
            (Command::Bench { bench_args }, Value(value)) => bench_args.push(value),
            (Command::Bench { bench_args }, Long("quick")) => bench_args.push("--quick".into()),
            (Command::Instructions { record }, Long("record")) => *record = true,
            (Command::Simulate { seeds }, Long("seeds")) => *seeds = parser.value()?.parse()?,
            (Command::Faults { long, .. }, Long("long")) => *long = true,
            (Command::Faults { filters, .. }, Value(value)) => filters.push(value),
            (Command::Fuzz { limit, .. }, Long("seconds")) => {
                *limit = Limit::Seconds(parser.value()?.parse()?);
            }
            (Command::Fuzz { limit, .. }, Long("minutes")) => {
                *limit = Limit::MinutesInAll(parser.value()?.parse()?);
            }
            (Command::Fuzz { limit, .. }, Long("runs")) => {
                *limit = Limit::Runs(parser.value()?.parse()?);
            }
            (Command::Fuzz { targets, .. }, Long("minimize")) => {
                command = Command::Minimize { targets: std::mem::take(targets) };
            }
            (Command::Mutants { shard }, Long("shard")) => {
                *shard = Shard::parse(&parser.value()?.string()?)?;
            }
            (Command::Fuzz { targets, .. } | Command::Minimize { targets }, Value(target)) => {
                targets.push(target.string()?);
            }
            (_, other) => return Err(other.unexpected()),
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_args(args: &[&str]) -> std::result::Result<Command, lexopt::Error> {
        parse(lexopt::Parser::from_args(args))
    }

    #[test]
    fn what_follows_two_dashes_goes_to_cargo_test() {
        let command = parse_args(&["test", "--", "flush", "--", "--nocapture"]).unwrap();
        let cargo_args = ["flush", "--", "--nocapture"].map(OsString::from).to_vec();
        assert_eq!(command, Command::Test { cargo_args });
    }

    #[test]
    fn fuzz_takes_a_limit_and_targets() {
        let fuzz = |limit, targets: &[&str]| Command::Fuzz {
            limit,
            targets: targets.iter().copied().map(String::from).collect(),
        };
        let parsed = |args: &[&str]| parse_args(args).unwrap();
        assert_eq!(parsed(&["fuzz", "--seconds", "60"]), fuzz(Limit::Seconds(60), &[]));
        let minutes = Limit::MinutesInAll(9);
        assert_eq!(parsed(&["fuzz", "--minutes", "9", "a", "b"]), fuzz(minutes, &["a", "b"]));
        assert_eq!(parsed(&["fuzz", "--runs", "5", "a"]), fuzz(Limit::Runs(5), &["a"]));
        assert_eq!(parsed(&["fuzz"]), fuzz(FUZZ_TIME, &[]));
        assert!(parse_args(&["fuzz", "--seconds", "soon"]).is_err());
    }

    #[test]
    fn fuzz_can_minimize_instead() {
        for args in [["fuzz", "--minimize", "a"], ["fuzz", "a", "--minimize"]] {
            let minimize = Command::Minimize { targets: vec!["a".into()] };
            assert_eq!(parse_args(&args).unwrap(), minimize);
        }
        assert!(parse_args(&["fuzz", "--minimize", "--seconds", "1"]).is_err());
    }

    #[test]
    fn mutants_take_a_shard() {
        let shard = Shard { number: 3, of: 20 };
        assert_eq!(
            parse_args(&["mutants", "--shard", "3/20"]).unwrap(),
            Command::Mutants { shard }
        );
        assert!(parse_args(&["mutants", "--shard", "20/20"]).is_err());
    }

    #[test]
    fn repeat_takes_a_number() {
        assert_eq!(parse_args(&["repeat", "3"]).unwrap(), Command::Repeat { rounds: 3 });
        assert_eq!(parse_args(&["repeat"]).unwrap(), Command::Repeat { rounds: REPEATS });
        assert!(parse_args(&["repeat", "often"]).is_err());
    }

    #[test]
    fn simulate_takes_seeds() {
        assert_eq!(
            parse_args(&["simulate", "--seeds", "7"]).unwrap(),
            Command::Simulate { seeds: 7 }
        );
        assert!(parse_args(&["simulate", "--seeds", "many"]).is_err());
    }

    #[test]
    fn faults_have_a_long_form_and_names() {
        let command = parse_args(&["faults", "--long", "soak"]).unwrap();
        assert_eq!(command, Command::Faults { long: true, filters: vec!["soak".into()] });
        let command = parse_args(&["faults"]).unwrap();
        assert_eq!(command, Command::Faults { long: false, filters: Vec::new() });
    }

    #[test]
    fn bench_knows_its_short_form() {
        let command = parse_args(&["bench", "--quick", "--", "--runs", "3"]).unwrap();
        let bench_args = ["--quick", "--runs", "3"].map(OsString::from).to_vec();
        assert_eq!(command, Command::Bench { bench_args });
    }

    #[test]
    fn anything_unknown_is_refused() {
        assert!(parse_args(&[]).is_err());
        assert!(parse_args(&["benches"]).is_err());
        assert!(parse_args(&["lint", "--fast"]).is_err());
        assert!(parse_args(&["server", "2.10.26"]).is_err());
    }
}
