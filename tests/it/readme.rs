//! The README, followed to the letter by a stranger who has only the program and a server.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::daemon::DEADLINE;
use crate::nats::Server;
use crate::wait;

/// A fenced block: what stands behind its language, and its text.
struct Block {
    info: String,
    text: String,
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(Block { info: info.to_owned(), text: body.join("\n") + "\n" });
    }
    blocks
}

/// Where a shell finds the program.
fn path() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_viewd"));
    format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap())
}

/// The folder of a reader who has copied every named file.
struct Reader {
    folder: tempfile::TempDir,
    server: Server,
}

impl Reader {
    fn new() -> Self {
        let reader = Self { folder: tempfile::tempdir().unwrap(), server: Server::start() };
        for block in blocks(&readme()) {
            if let Some((_, file)) = block.info.split_once(" file=") {
                reader.write(file, &block.text);
            }
        }
        reader
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs one line of the README; the server listens elsewhere than in the text.
    fn run(&self, line: &str) -> Output {
        let address = self.server.url().replace("nats://", "");
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').unwrap();
        let line = if line == "python3 publish.py" {
            format!("{line} {host} {port}")
        } else {
            line.to_owned()
        };
        self.command(&line).output().unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env("PATH", path())
            .env("VIEWD_NATS__SERVERS", format!("[\"{}\"]", self.server.url()))
            .env("VIEWD_HTTP__LISTEN", "off");
        command
    }

    /// Runs it again until it succeeds.
    fn until(&self, line: &str) {
        wait::until(line, DEADLINE, || self.run(line).status.success().then_some(()));
    }

    #[track_caller]
    fn succeeds(&self, line: &str) -> String {
        let output = self.run(line);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {}\n{talk}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn a_stranger_reaches_their_first_projection() {
    let reader = Reader::new();
    // The tour of the language is a definition of its own; it is not part of the five minutes.
    std::fs::remove_file(reader.folder.path().join("projections/reference.toml")).unwrap();
    let mut shown = BTreeMap::new();
    let mut last = String::new();
    let mut outputs = 0;
    for block in blocks(&readme()) {
        match block.info.as_str() {
            "sh run" => {
                for line in block.text.lines() {
                    last = reader.succeeds(line);
                    shown.insert(line.to_owned(), last.clone());
                }
            }
            "text output" => {
                assert_eq!(last, block.text, "what the README shows");
                outputs += 1;
            }
            _ => {}
        }
    }
    assert_eq!(outputs, 1);
    let letters =
        &shown["viewd query orders \"SELECT sequence, state, reason FROM _viewd_dead_letters\""];
    assert!(letters.contains("dead") && letters.contains("parked"), "{letters}");
    let rows = reader.succeeds("python3 read.py");
    assert!(
        rows.contains("Ada") && rows.contains("12.50") && rows.contains("as of sequence 4"),
        "{rows}"
    );
}

#[test]
fn the_tour_of_the_language_passes_its_tests() {
    let reader = Reader::new();
    reader.succeeds("viewd check --offline");
    let tests = reader.succeeds("viewd test reference");
    assert!(tests.contains("... ok"), "{tests}");
}

/// What the README says of the commands that show real events is there.
#[test]
fn events_and_trials_become_tests() {
    let reader = Reader::new();
    std::fs::remove_file(reader.folder.path().join("projections/reference.toml")).unwrap();
    reader.succeeds("python3 publish.py");
    let plan = reader.succeeds("viewd plan");
    assert!(plan.contains("orders: build"), "{plan}");
    let tried = reader.succeeds("viewd try orders");
    assert!(tried.contains("Grace") && tried.contains("dead letters"), "{tried}");
    let event = reader.succeeds("viewd events shop --last 1");
    assert!(event.contains("\"order_id\":\"3\""), "{event}");
    let skeleton = reader.succeeds("viewd try orders --last 1 --as-test");
    let definition = reader.folder.path().join("projections/orders.toml");
    let text = std::fs::read_to_string(&definition).unwrap();
    std::fs::write(&definition, format!("{text}\n{skeleton}")).unwrap();
    let tests = reader.succeeds("viewd test");
    assert_eq!(tests.matches("... ok").count(), 2, "{tests}");
    for (line, file) in [
        ("viewd schema", "projections/projection.schema.json"),
        ("viewd schema config", "config/viewd.schema.json"),
    ] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let same = reader.succeeds(line) == std::fs::read_to_string(shipped).unwrap();
        assert!(same, "{line} prints another schema than {file}");
    }
}

#[test]
fn every_command_of_the_program_is_told_and_every_told_one_is_there() {
    let help = Command::new(env!("CARGO_BIN_EXE_viewd")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed =
        help.split("Commands:").nth(1).unwrap().lines().skip(1).take_while(|line| !line.is_empty());
    // What is indented further goes on with the line before it.
    let commands = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let readme = readme();
    for command in commands.map(|line| line.split_whitespace().next().unwrap()) {
        assert!(
            readme.contains(&format!("`viewd {command}")),
            "the README says nothing of {command}"
        );
    }
}

/// A reader that keeps a view open moves on when another generation is served.
#[test]
fn a_reader_that_keeps_a_view_open_moves_on() {
    let reader = Reader::new();
    std::fs::remove_file(reader.folder.path().join("projections/reference.toml")).unwrap();
    reader.succeeds("python3 publish.py");
    let mut daemon = reader.command("exec viewd run").stderr(Stdio::null()).spawn().unwrap();
    reader.until("viewd wait orders --sequence 4");
    let mut keep = reader.command("exec python3 keep.py");
    let mut keep = keep.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answers = BufReader::new(keep.stdout.take().unwrap());
    let mut questions = keep.stdin.take().unwrap();
    let mut ask = |customer: &str| {
        writeln!(questions, "{customer}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask("Ada"), "(1, 1250)\n");
    // Another definition, so that the answer shows which generation gave it.
    let definition = reader.folder.path().join("projections/orders.toml");
    let text = std::fs::read_to_string(&definition).unwrap();
    std::fs::write(&definition, text.replacen("add.orders   = 1", "add.orders   = 100", 1))
        .unwrap();
    let reloaded = reader.succeeds("viewd reload");
    assert!(reloaded.contains("orders: rebuild"), "{reloaded}");
    wait::until("the other generation", DEADLINE, || (ask("Ada") == "(100, 1250)\n").then_some(()));
    drop(questions);
    assert!(keep.wait().unwrap().success());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// Every command that the README writes down is one that the program understands.
#[test]
fn every_command_line_is_understood() {
    let readme = readme();
    let fenced: Vec<_> = blocks(&readme)
        .into_iter()
        .filter(|block| block.info == "sh" || block.info == "sh run")
        .flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let inline = readme.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
    let lines = fenced.iter().map(String::as_str).chain(inline);
    let folder = tempfile::tempdir().unwrap();
    let mut understood = 0;
    for line in lines.filter(|line| line.starts_with("viewd ")) {
        // What an option takes is not looked at, so `--help` may follow whatever is left out.
        let command = [" #", " && ", " > ", " | "]
            .iter()
            .fold(line, |line, end| line.split_once(end).map_or(line, |(before, _)| before));
        let given = |word| match word {
            "N" | "SEQUENCE" => "1",
            "SHELL" => "bash",
            word => word,
        };
        let words: Vec<_> = command.split(' ').map(given).collect();
        let command = words.join(" ").replace(['[', ']'], "");
        let output = Command::new("sh")
            .args(["-c", &format!("{command} --help")])
            .current_dir(folder.path())
            .env("PATH", path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        understood += 1;
    }
    assert!(understood > 60, "{understood} commands");
}

/// What the headings of a file are linked by.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |char: &char| char.is_alphanumeric() || " -_".contains(*char);
        heading.chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_local_link_leads_somewhere() {
    for file in ["README.md", "projections/README.md"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (named, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let named = file.parent().unwrap().join(named);
            let linked = if link.starts_with('#') { file.clone() } else { named };
            assert!(linked.exists(), "no file {link}");
            if let Some(anchor) = anchor {
                let headings = anchors(&std::fs::read_to_string(&linked).unwrap());
                assert!(headings.iter().any(|known| known == anchor), "no heading for {link}");
            }
        }
    }
}
