use std::fmt::Write;
use std::net::IpAddr;

/// The text of a task's `/etc/hosts`: loopback, and its own name at its own addresses. Everybody
/// else's name is the resolver's business, because it changes during the task's life. Pure.
pub fn hosts_file(hostname: &str, own: &[IpAddr]) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for address in own {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{address}\t{hostname}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_finds_itself_and_its_loopback() {
        let own = ["10.0.1.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        let text = hosts_file("web.1", &own);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost "));
        assert!(text.ends_with("10.0.1.5\tweb.1\nfd00::5\tweb.1\n"));
    }
}
