//! The files of the status page, as they are in the program.

/// A file that the page loads.
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) media_type: &'static str,
    pub(super) content: &'static str,
}

/// What the page loads from `status/`.
pub(super) const ALL: [File; 3] = [
    File { name: "status.css", media_type: "text/css; charset=utf-8", content: include_str!("files/status.css") },
    File { name: "status.js", media_type: "text/javascript; charset=utf-8", content: include_str!("files/status.js") },
    File { name: "icon.svg", media_type: "image/svg+xml", content: include_str!("files/icon.svg") },
];

const PAGE: &str = include_str!("files/status.html");
/// Where the link to the explorer stands, if there is one.
const EXPLORER: &str = "<!-- explorer -->";

/// Returns the page. `explorer`: address of the explorer, relative to the page.
pub(super) fn page(explorer: Option<&'static str>) -> String {
    let link =
        explorer.map(|address| format!("<a class=\"button\" href=\"{address}\">Explorer</a>")).unwrap_or_default();
    PAGE.replace(EXPLORER, &link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_what_is_there_and_nothing_is_inline() {
        let page = page(None);
        for file in &ALL {
            assert!(page.contains(&format!("\"status/{}\"", file.name)), "{}", file.name);
        }
        assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("<style"), "{page}");
        assert!(!page.contains("http") && !page.contains("Explorer"), "{page}");
        assert!(super::page(Some("./")).contains("<a class=\"button\" href=\"./\">Explorer</a>"));
    }

    /// Both pages have one look: the colours here are those of the explorer.
    #[test]
    fn the_colours_are_those_of_the_explorer() {
        let sheet = concat!(env!("CARGO_MANIFEST_DIR"), "/../query-fn/explorer/src/style.css");
        let sheet = std::fs::read_to_string(sheet).unwrap();
        let (light, dark) = sheet.split_once("[data-theme='dark']").unwrap();
        let of = |part: &str, name: &str| {
            let (_, value) =
                part.split_once(&format!("--{name}: ")).unwrap_or_else(|| panic!("{name} in the explorer"));
            value.split_once(';').unwrap().0.to_owned()
        };
        let ours = ALL.iter().find(|file| file.name == "status.css").unwrap().content;
        let mut colours = 0;
        for line in ours.lines() {
            let Some((name, value)) = line.trim().strip_prefix("--").and_then(|line| line.split_once(": light-dark("))
            else {
                continue;
            };
            let expected = format!("{}, {});", of(light, name), of(dark, name));
            assert_eq!(value, expected, "{name}");
            colours += 1;
        }
        assert!(colours > 10, "{colours}");
    }
}
