#!/usr/bin/env python3
"""Find a Python, make devstack's own environment once, hand over to it.

    python3 bootstrap.py [REPO | . | demo | VERB] ...

Standard library only. It parses on Python 2.7 and 3.5+, so that an old Python says what is missing instead of
"SyntaxError"; the work itself is done by a Python >= 3.11, found on this machine and never downloaded.

devstack comes from the folder of this file, or from DEVSTACK_SOURCE (a folder, a wheel, a git URL), or from an
environment that an earlier run made. It is never asked for by name from a package index: there the name belongs to
somebody else. The environment is `$XDG_DATA_HOME/devstack/tool/<key>`; the key is a hash of all it is made from, so
an environment is never changed: it is built beside, verified, renamed into place. Arguments are passed on unread,
but for `--json`: with it an error is one JSON document on stdout. Linux and macOS; elsewhere it stops and says so.
"""

# What newer Pythons offer instead of these doesn't parse on old ones:
# ruff: noqa: RUF005, B904, SIM105

import os
import sys
import time

OLDEST = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
LAYOUT = "1"  # part of every key: a new number makes new environments
INSTALL_DEADLINE, QUERY_DEADLINE, LOCK_DEADLINE = 900, 60, 1200  # seconds
OLD_ENVIRONMENTS_KEPT = 2
# for devstack's own developers: an extra of pyproject.toml to install besides, and a module to run instead of devstack
EXTRA, MODULE = os.environ.get("DEVSTACK_BOOTSTRAP_EXTRA", ""), os.environ.get("DEVSTACK_BOOTSTRAP_MODULE", "devstack")
UV_OLDEST, UV_FALLBACK = (0, 5), "uv>=0.9,<1"
MARKER = "# devstack launcher: written by bootstrap.py, which replaces it when the environment changes"
# they'd make devstack's interpreter find another standard library, other packages, no docstrings (its help texts), or
# compile everything anew at every command
HARMFUL = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "PYTHONINSPECT",
    "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__",
)
# of uv's and pip's own variables only these reach the installation: others could send it to another place
UV_KEPT = (
    "CACHE_DIR", "NO_CACHE", "DEFAULT_INDEX", "INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "HTTP_TIMEOUT", "HTTP_RETRIES",
    "NATIVE_TLS", "SYSTEM_CERTS", "OFFLINE", "LINK_MODE", "KEYRING_PROVIDER", "INSECURE_HOST",
    "CONFIG_FILE", "NO_CONFIG", "REQUEST_TIMEOUT",
)
PIP_KEPT = (
    "INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CERT", "CLIENT_CERT", "PROXY", "TRUSTED_HOST",
    "TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES", "CONFIG_FILE", "CACHE_DIR", "NO_CACHE_DIR", "KEYRING_PROVIDER",
)
URL = r"(git\+)?(https|ssh)://[A-Za-z0-9][A-Za-z0-9._~:/?#@!&'()*+,;=%-]*|git\+file:///[A-Za-z0-9._/%@-]+"
DISK_FULL = r"no space left|disk quota|os error 28\b|os error 122\b|errno 28\b|errno 122\b"
NETWORK = (
    r"error sending request|failed to fetch|failed to download|could not connect|connection|dns error|timed out|"
    r"timeout|certificate|tls|name resolution|resolve host|unreachable|http status|proxy|not found in the package reg|"
    r"network connectivity|no solution found|no matching distribution|git operation failed|publickey|authentication"
)
NO_PERMISSION = r"read-only file system|os error (13|30)\b|errno (13|30)\b"
PROBE = 'import sys; print("python %d.%d.%d" % sys.version_info[:3]); import ssl, venv; print(sys.implementation.name)'
VERIFY = """
import importlib, importlib.metadata, re, sys
wanted = sys.argv[2:] if sys.argv[1] == "checkout" else importlib.metadata.requires("devstack") or []
for requirement in wanted:
    if ";" in requirement:
        continue
    distribution = importlib.metadata.distribution(re.match("[A-Za-z0-9._-]+", requirement)[0])
    parts = [file.parts for file in distribution.files]
    for module in sorted({p[0] for p in parts if len(p) == 2 and p[1] == "__init__.py"}):
        importlib.import_module(module)
import devstack
"""


class StopError(Exception):
    """The run ends here: what happened, why, what to do, with which exit code; lines: proof, such as uv's last ones."""

    def __init__(self, id, what, why, fix, code=3, lines=()):
        Exception.__init__(self, what)
        self.id, self.what, self.why, self.fix, self.code, self.lines = id, what, why, fix, code, lines

    def show(self, as_json):
        say(self.what)
        for label, text in (("why", self.why), ("fix", self.fix)):
            if text:
                sys.stderr.write("  %s: %s\n" % (label, text))
        for line in self.lines:
            sys.stderr.write("  | %s\n" % line)
        if as_json:
            import json
            why = self.why + (" (%s)" % self.lines[-1] if self.lines else "")
            error = {"id": self.id, "what": self.what, "why": why, "fix": self.fix, "exit_code": self.code}
            sys.stdout.write(json.dumps({"error": error}) + "\n")
            sys.stdout.flush()
        return self.code


def main(arguments):
    refuse_sudo()
    if sys.version_info < OLDEST or sys.implementation.name != "cpython":
        run_again_with_newer_python(arguments)
    home = tool_home()
    source = find_source(os.environ.get("DEVSTACK_SOURCE", ""))
    environment = newest_environment(home) if source is None else prepared_environment(home, source)
    mark_used(environment)
    if not EXTRA:
        write_launcher(environment)
    hand_over(environment, arguments)


clock = getattr(time, "monotonic", time.time)  # Python 2.7 has none


def say(text):
    sys.stderr.write("devstack: %s\n" % text)
    sys.stderr.flush()


def this_file():
    """Real path of bootstrap.py; "" where it came through a pipe."""
    path = globals().get("__file__") or ""
    return os.path.realpath(path) if os.path.isfile(path) else ""


def refuse_sudo():
    if os.name != "posix":
        raise StopError("platform-unsupported", "devstack runs on Linux and macOS", "this is %s" % sys.platform,
                        "on Windows, run it inside WSL: wsl --install")
    if os.getuid() == 0 and os.environ.get("SUDO_UID", "0") != "0":
        raise StopError("running-under-sudo", "devstack was started with sudo",
                        "what it makes in your own folders would belong to root",
                        "run it as yourself: python3 bootstrap.py ...")


# --- a Python that is new enough -------------------------------------------------------------------------------------


def run_again_with_newer_python(arguments):
    """Become the first interpreter that really runs and is new enough; nothing of devstack has been done before."""
    script, seen, answers = this_file(), set(), []
    for path in interpreters():
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        version, complete = ask_version(path)
        if version >= OLDEST and complete and script:
            os.execve(path, [path, "-I", script] + arguments, harmless_environment())
        answers.append("%s %s" % (path, describe(version, complete)))
    raise StopError("python-too-old", "devstack needs Python %d.%d or newer" % OLDEST,
                    "this is %s %d.%d.%d; found besides: %s" % ((sys.executable,) + tuple(sys.version_info[:3])
                                                                + (", ".join(answers) or "none",)), python_fix())


def harmless_environment():
    return {name: value for name, value in os.environ.items() if name not in HARMFUL}


def describe(version, complete):
    if not version:
        return "(doesn't run)"
    text = ".".join(str(part) for part in version)
    return text if complete or version < OLDEST else text + " (not CPython, or without its ssl or venv module)"


def ask_version(path):
    """((3, 11, 7), True) for a Python that runs and has what is needed; () for one that doesn't run."""
    try:
        status, output = run([path, "-I", "-c", PROBE], step_environment(), "/", QUERY_DEADLINE)
    except EnvironmentError:
        return (), False
    lines = output.split("\n")
    numbers = [line.split()[1] for line in lines if line.startswith("python ")]
    version = tuple(int(part) for part in numbers[0].split(".")) if numbers else ()
    return version, status == 0 and "cpython" in lines


def interpreters():
    """Paths of Pythons that may be new enough, the most explicit ones first. A shim picks by folder: never one."""
    import glob
    home = os.path.expanduser("~")
    pyenv = os.environ.get("PYENV_ROOT") or os.path.join(home, ".pyenv")
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    managed = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    paths = [os.path.join(folder, name) for name in NAMES for folder in path_folders()]
    paths += sorted(glob.glob(os.path.join(pyenv, "versions", "*", "bin", "python3")), key=newest_first)
    paths += [os.path.join(folder, name) for folder in usual for name in NAMES]
    paths += sorted(glob.glob(os.path.join(managed, "*", "bin", "python3")), key=newest_first)
    return [path for path in paths if is_program(path) and "/shims/" not in os.path.realpath(path)]


def newest_first(path):
    import re
    return [-int(number) for number in re.findall("[0-9]+", path.split(os.sep)[-3])]


def path_folders():
    """PATH without shims and without relative folders, which would let the current folder choose the program."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [folder for folder in folders if os.path.isabs(folder) and os.path.basename(folder) != "shims"]


def is_program(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


def python_fix():
    if sys.platform == "darwin":
        return "brew install python@3.13"
    if os.path.exists("/etc/debian_version"):
        return "sudo apt install python3.11 python3.11-venv"
    if os.path.exists("/etc/fedora-release") or os.path.exists("/etc/redhat-release"):
        return "sudo dnf install python3.12"
    return "install Python 3.11 or newer with your system's package manager, or: uv python install 3.13"


# --- where devstack comes from ---------------------------------------------------------------------------------------


class Source:
    """tree: folder of a checkout, or "" where `requirement` is a direct reference. project: the text of the
    [project] table; stamp: what else tells one content from another."""

    def __init__(self, tree="", requirement="", project="", constraints="", stamp=""):
        self.tree, self.requirement, self.project = tree, requirement, project
        self.constraints, self.stamp = constraints, stamp


def find_source(told):
    """The checkout around this file; else what DEVSTACK_SOURCE tells; None where only an older environment can help."""
    script = this_file()
    beside = checkout(os.path.dirname(script)) if script else None
    if beside or not told:
        return beside
    path = os.path.realpath(os.path.expanduser(told))
    if os.path.isdir(path):
        found = checkout(path)
        if not found:
            raise bad_source(told, "the folder has no pyproject.toml of devstack, or no package devstack")
        return found
    if os.path.isfile(path):
        return wheel(told, path)
    return remote(told)


def checkout(folder):
    """The Source of a checkout, or None. Reads the [project] table as text: a TOML parser costs 25 ms a run."""
    try:
        with open(os.path.join(folder, "pyproject.toml"), encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return None
    project = ("\n" + text).partition("\n[project]")[2].partition("\n[")[0]
    named = any(line.replace(" ", "").replace("'", '"').startswith('name="devstack"') for line in project.split("\n"))
    if not named or not os.path.isfile(os.path.join(folder, "devstack", "__init__.py")):
        return None
    try:
        with open(os.path.join(folder, "constraints.txt"), encoding="utf-8") as file:
            constraints = file.read()
    except FileNotFoundError:
        constraints = ""
    return Source(folder, project=project, constraints=constraints)


def wheel(told, path):
    if not path.endswith(".whl"):
        raise bad_source(told, "the file is not a wheel (*.whl)")
    from urllib.parse import quote
    state = os.stat(path)
    stamp = "%d %d" % (state.st_size, state.st_mtime_ns)
    return Source(requirement="devstack @ file://" + quote(os.fsencode(path)), stamp=stamp)


def remote(told):
    """A URL reaches uv inside a requirement: whatever could end it, be expanded, or look like an option is refused."""
    import re
    if not re.match("(%s)$" % URL, told) or "@-" in told:
        raise bad_source(told, "it is neither a folder, nor a wheel, nor an https, ssh or git+... URL")
    plain = told.startswith("git+") or told.partition("#")[0].endswith(".whl")
    return Source(requirement="devstack @ " + (told if plain else "git+" + told))


def bad_source(told, why):
    return StopError("devstack-source-invalid", "DEVSTACK_SOURCE=%s can't be used" % masked(told), why,
                     "DEVSTACK_SOURCE=<git URL or folder> python3 bootstrap.py ...")


def masked(text):
    import re
    return re.sub(r"://[^/@\s]+@", "://***@", text)


def dependencies(source):
    """The checkout's own list, read by a real parser; [] and the direct reference itself otherwise."""
    if source.requirement:
        return [source.requirement]
    import re
    import tomllib
    try:
        with open(os.path.join(source.tree, "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)["project"]
        found = project.get("dependencies", []) + (project["optional-dependencies"][EXTRA] if EXTRA else [])
    except (ValueError, KeyError) as error:
        raise bad_source(source.tree, "its pyproject.toml: %s" % error)
    for requirement in found:
        if not re.match(r"[A-Za-z0-9][^\n\r$]*$", requirement):
            raise bad_source(source.tree, "its pyproject.toml has the dependency %r" % requirement)
    return found


# --- which environment -----------------------------------------------------------------------------------------------


def tool_home():
    """`$XDG_DATA_HOME/devstack/tool`; a relative XDG folder is ignored, as its specification says."""
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):
        if not os.path.isabs(os.environ.get("HOME", "")):
            raise StopError("home-unusable", "devstack has no place for its own environment", "HOME is not set",
                            "HOME=<your folder> python3 bootstrap.py ...", 5)
        data = os.path.join(os.environ["HOME"], ".local", "share")
    return os.path.join(data, "devstack", "tool")


def base_python():
    """The interpreter behind any virtual environment this runs in: that one may be deleted tomorrow."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def key_of(source):
    import hashlib
    python = "%s %s %s %s" % (base_python(), sys.version.split()[0], sys.implementation.cache_tag, os.uname().machine)
    parts = (LAYOUT, EXTRA, python, source.tree, source.requirement, source.project, source.constraints, source.stamp)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def usable(environment):
    """It is there (so complete: it was renamed into place) and its interpreter hasn't been removed since."""
    return os.access(os.path.join(environment, "bin", "python"), os.X_OK)


def environments(home):
    """All of them, the most recently used first."""
    try:
        paths = [os.path.join(home, name) for name in os.listdir(home) if not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((path for path in paths if os.path.isfile(os.path.join(path, "used"))), key=last_use, reverse=True)


def last_use(environment):
    try:
        return os.stat(os.path.join(environment, "used")).st_mtime
    except OSError:
        return 0


def newest_environment(home):
    """The environment used last whose devstack still exists: a checkout's code isn't copied into it."""
    for environment in environments(home):
        try:
            with open(os.path.join(environment, "source"), "rb") as file:
                tree = os.fsdecode(file.read())
        except OSError:
            continue
        if usable(environment) and (not tree or os.path.isfile(os.path.join(tree, "devstack", "__init__.py"))):
            return environment
    raise StopError("devstack-source-unknown", "bootstrap.py doesn't know where devstack is",
                    "it is alone in its folder, DEVSTACK_SOURCE is not set, and no earlier run made an environment in"
                    " %s" % home, "DEVSTACK_SOURCE=<git URL or folder> python3 bootstrap.py ...")


def prepared_environment(home, source):
    environment = os.path.join(home, key_of(source))
    if not usable(environment):
        started = clock()
        make(home, environment, source)
        say("ready in %.1f s" % (clock() - started))
    return environment


# --- making it -------------------------------------------------------------------------------------------------------


def make(home, environment, source):
    import signal
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a script's `&` or nohup had SIGINT ignored
        signal.signal(number, stopped)
    os.makedirs(home, 0o700, exist_ok=True)
    lock = take_lock(home)
    try:
        if usable(environment):  # the run that held the lock has made it
            return
        sweep(home)
        say("preparing its own environment (once, in %s)" % environment)
        build(home, environment, source)
        remove_old(home, environment)
    finally:
        os.close(lock)


def stopped(number, frame):
    why = "Ctrl-C" if number == 2 else "a signal asked for it"
    raise StopError("interrupted", "stopped on request", why, "run the same command again", 128 + number)


def take_lock(home):
    """The file's lock goes with the process, however that ends; says so when it has to wait."""
    import fcntl
    lock = os.open(os.path.join(home, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    started, told = clock(), False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = clock() - started
        else:
            return lock
        if waited > LOCK_DEADLINE:
            raise StopError("environment-busy", "another run still prepares devstack's environment",
                            "it has held %s/.lock for %d s" % (home, waited), "end that run, then run this again", 75)
        if waited > 1 and not told:
            told = True
            say("waiting for another run that prepares the environment")
        time.sleep(0.05)


def sweep(home):
    """What killed runs left. Only the lock's holder builds, so whatever is half made now belongs to nobody."""
    import shutil
    for name in os.listdir(home):
        if name.startswith(".tmp-"):
            shutil.rmtree(os.path.join(home, name), ignore_errors=True)


def build(home, environment, source):
    """Everything happens in a folder beside; the last act is the rename. Killed before it: as if nothing had been."""
    import shutil
    work = os.path.join(home, ".tmp-%s-%d" % (os.path.basename(environment), os.getpid()))
    new = os.path.join(work, "env")
    try:
        os.mkdir(work, 0o700)
        make_venv(work, new)
        install(home, work, new, source)
        if source.tree:
            point_to(source.tree, new)
        verify(work, new, source)
        for name, content in (("source", os.fsencode(source.tree)), ("used", b"")):
            write(os.path.join(new, name), content)
        settle(new, environment)
        if os.path.lexists(environment):  # its interpreter is gone
            os.rename(environment, os.path.join(work, "dead"))
        os.rename(new, environment)
        os.sync()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def make_venv(work, new):
    status, output = run([base_python(), "-I", "-m", "venv", "--without-pip", new], step_environment(), work)
    if status != 0:
        raise StopError("venv-missing", "Python %d.%d can't make a virtual environment" % sys.version_info[:2],
                        "%s -m venv failed" % base_python(), python_fix(), lines=last_lines(output))


def site_packages(new):
    import glob
    return glob.glob(os.path.join(glob.escape(new), "lib", "python*", "site-packages"))[0]


def point_to(tree, new):
    """A .pth file in ASCII whatever the path holds: Pythons differ in the encoding they expect there."""
    plain = tree == tree.strip() and all(32 <= ord(letter) < 127 for letter in tree)
    line = tree if plain else "import sys; sys.path.append(%s)" % ascii(tree)
    write(os.path.join(site_packages(new), "devstack-checkout.pth"), (line + "\n").encode("ascii"))


def verify(work, new, source):
    """Import devstack and all it depends on directly, as later commands will; this also warms what they read."""
    wanted = ["checkout"] + dependencies(source) if source.tree else ["installed"]
    python = os.path.join(new, "bin", "python")
    status, output = run([python, "-I", "-c", VERIFY] + wanted, step_environment(), work)
    if status != 0:
        raise StopError("environment-not-made", "devstack's new environment doesn't work", "its own check failed",
                        "run the same command again", lines=last_lines(output))


def settle(new, environment):
    """Scripts name the folder they were made in: give them the final one. Then everything goes to the disk."""
    folder = os.path.join(new, "bin")
    for path in [os.path.join(folder, name) for name in os.listdir(folder)] + [os.path.join(new, "pyvenv.cfg")]:
        if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 100000:
            with open(path, "rb") as file:
                content = file.read()
            if os.fsencode(new) in content:
                write(path, content.replace(os.fsencode(new), os.fsencode(environment)), os.stat(path).st_mode & 0o777)
    os.sync()


def write(path, content, mode=0o600):
    """A file is complete or not there; never written through another name of it, such as a hard link."""
    temporary = "%s.%d" % (path, os.getpid())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def remove_old(home, environment):
    """Keep the two used last, and any that a process may still run from, such as a supervisor that is up for days."""
    import shutil
    others = [path for path in environments(home) if path != environment]
    victims = others[OLD_ENVIRONMENTS_KEPT:]
    busy = in_use(victims) if victims else []
    for path in [path for path in victims if path not in busy]:
        gone = os.path.join(home, ".tmp-%s-%d" % (os.path.basename(path), os.getpid()))
        os.rename(path, gone)
        shutil.rmtree(gone, ignore_errors=True)


def in_use(paths):
    """Those of the paths whose key stands in a process's command line or mapped files; all of them if in doubt."""
    import glob
    keys = {os.path.basename(path).encode(): path for path in paths}
    texts = [read_or_nothing(path) for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/maps")]
    if not texts:
        try:
            status, output = run(["ps", "-axww", "-o", "command="], step_environment(), "/")
        except OSError:
            return paths
        if status != 0 or not output:
            return paths
        texts = [output.encode("utf-8", "surrogateescape")]
    return [keys[key] for key in keys if any(key in text for text in texts)]


def read_or_nothing(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


# --- installing into it ----------------------------------------------------------------------------------------------


def install(home, work, new, source):
    """uv installs the dependencies. They go through files: an address may hold a password, and argv is public."""
    wanted = dependencies(source)
    if not wanted:
        return
    for name, text in (("requirements.txt", "\n".join(wanted) + "\n"), ("constraints.txt", source.constraints)):
        write(os.path.join(work, name), text.encode("utf-8"))
    environment = step_environment()
    environment.update(index_settings())
    uv = find_uv(home, work, source.constraints, environment)
    command = [uv, "pip", "install", "--python", os.path.join(new, "bin", "python"),
               "-c", "constraints.txt", "-r", "requirements.txt"]
    status, output = run(command, environment, work, INSTALL_DEADLINE, "installing its dependencies")
    if status != 0 and failure_of(output) == "network":
        # uv asks the index even for what its cache has; without a network the cache may be all that is needed
        status = run(command + ["--offline"], environment, work, INSTALL_DEADLINE)[0]
    if status != 0:
        raise install_failed("uv", output)


def install_failed(tool, output):
    import re
    lines, kind = last_lines(output), failure_of(output)
    what, again = "devstack's environment couldn't be made", "run the same command again"
    if kind == "disk":
        return StopError("disk-full", what, "the disk is full", "free some space, then " + again, 5, lines)
    if kind == "permission":
        return StopError("permission-denied", what, "a file or folder can't be written (see the lines)",
                         "make it yours, or set XDG_DATA_HOME and UV_CACHE_DIR to folders of yours", 5, lines)
    if kind == "network":
        hosts = sorted(set(re.findall(r"https?://(?:[^/@\s`]*@)?([^/@\s`)]+)", output)))
        return StopError("network-failed", what, "%s didn't get what it asked %s for"
                         % (tool, ", ".join(hosts) or "the package index"), again + " when the network answers "
                         "(a proxy: HTTPS_PROXY=URL; an index of your own: UV_DEFAULT_INDEX=URL)", 4, lines)
    return StopError("environment-not-made", what, "%s failed (see the lines)" % tool, again, 3, lines)


def failure_of(output):
    import re
    text = output.lower()
    for kind, pattern in (("disk", DISK_FULL), ("permission", NO_PERMISSION), ("network", NETWORK)):
        if re.search(pattern, text):
            return kind
    return "other"


def last_lines(output, count=8):
    return [line[:200] for line in masked(output).splitlines() if line.strip()][-count:]


def find_uv(home, work, constraints, variables):
    """A uv that really runs and is new enough: of PATH, of an older environment, else one fetched with a pip."""
    import re
    paths = [os.path.join(folder, "uv") for folder in path_folders()]
    for path in paths + [os.path.join(environment, "bin", "uv") for environment in environments(home)]:
        if is_program(path):
            answer = re.match(r"uv (\d+)\.(\d+)", answer_of([path, "--version"], variables, work))
            if answer and (int(answer[1]), int(answer[2])) >= UV_OLDEST:
                return path
    pinned = re.search(r"(?m)^uv==[\w.]+", constraints)
    target = os.path.join(work, "uv")
    command = find_pip(variables, work) + [
        "install", "--target", target, "--no-deps", "--only-binary", ":all:", "--no-warn-script-location", "-q",
        pinned[0] if pinned else UV_FALLBACK,
    ]
    status, output = run(command, variables, work, INSTALL_DEADLINE, "fetching uv, the installer")
    if status != 0:
        raise install_failed("pip", output)
    return os.path.join(target, "bin", "uv")


def find_pip(environment, work):
    """A command line of a pip that runs: a module, the wheel that Python ships for ensurepip, another Python's."""
    import glob
    here = base_python()
    bundled = os.path.join(os.path.dirname(os.__file__), "ensurepip", "_bundled", "pip-*.whl")
    wheels = glob.glob(bundled) + glob.glob("/usr/share/python-wheels/pip-*.whl")
    candidates = [[here, "-m", "pip"]] + [[here, os.path.join(path, "pip")] for path in wheels]
    for command in candidates + [[path, "-m", "pip"] for path in interpreters() if os.path.realpath(path) != here]:
        if answer_of(command + ["--version"], environment, work).startswith("pip "):
            return command
    debian = os.path.exists("/etc/debian_version")
    raise StopError("pip-missing", "nothing here can install Python packages", "neither uv nor a working pip was found",
                    "sudo apt install python3-venv python3-pip" if debian else "install uv or pip, then run this again")


def answer_of(command, environment, folder):
    """What a command says; "" where it fails or can't be run."""
    try:
        status, output = run(command, environment, folder)
    except OSError:
        return ""
    return output if status == 0 else ""


def step_environment():
    """This environment without what would send an installation to another place or another Python."""
    kept = {}
    for name, value in os.environ.items():
        if name.startswith("UV_"):
            keep = name[len("UV_"):] in UV_KEPT or name.startswith(("UV_INDEX_", "UV_CONCURRENT_"))
        elif name.startswith("PIP_"):
            keep = name[len("PIP_"):] in PIP_KEPT
        else:
            keep = not name.startswith(("PYTHON", "CONDA", "VIRTUAL_ENV", "__PYVENV"))
        if keep:
            kept[name] = value
    kept.update(PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1",
                GIT_TERMINAL_PROMPT="0", NO_COLOR="1")
    return kept


def index_settings():
    """The index and certificate configured for pip, for uv: uv doesn't read pip's configuration. Only these two."""
    settings, configured = {}, pip_configuration()
    index = os.environ.get("PIP_INDEX_URL") or configured.get("index-url")
    if index and not (os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")):
        settings["UV_DEFAULT_INDEX"] = index
    certificate = os.environ.get("PIP_CERT") or configured.get("cert")
    if certificate and not os.environ.get("SSL_CERT_FILE") and os.path.isfile(os.path.expanduser(certificate)):
        settings["SSL_CERT_FILE"] = os.path.expanduser(certificate)
    return settings


def pip_configuration():
    """index-url and cert of pip's files, later ones win: global, user, site, PIP_CONFIG_FILE (pip's manual,
    "Configuration Files"). Reading them needs no pip, which may be missing."""
    import configparser
    own = os.environ.get("PIP_CONFIG_FILE", "")
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    shared = [folder for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep) if folder]
    files = [os.path.join(folder, "pip", "pip.conf") for folder in shared] + ["/etc/pip.conf"]
    files += [os.path.join(home, ".pip", "pip.conf"), os.path.join(config, "pip", "pip.conf"),
              os.path.join(home, "Library", "Application Support", "pip", "pip.conf"),
              os.path.join(sys.base_prefix, "pip.conf")]
    found = {}
    for path in [] if own == os.devnull else files + [own]:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            for option in ("index-url", "cert"):
                if parser.has_option(section, option):
                    found[option] = parser.get(section, option)
    return found


def run(command, environment, folder, deadline=QUERY_DEADLINE, doing=""):
    """Run a command to its end, with a deadline, in a process group of its own that never outlives this run.

    Returns (status, output of both streams); status is None after the deadline. doing: said every 15 s while waiting.
    The output goes to a file: a pipe would be held open by whatever the command leaves behind.
    """
    import subprocess
    import tempfile
    child = None
    with tempfile.TemporaryFile() as output, open(os.devnull) as nothing:
        held = hold_signals()
        try:
            child = subprocess.Popen(command, env=environment, cwd=folder, stdin=nothing, stdout=output,
                                     stderr=subprocess.STDOUT, close_fds=True,
                                     preexec_fn=first_act(held))  # noqa: PLW1509 -- no threads here
            release_signals(held)
            status = wait(child, deadline, doing)
        finally:
            hold_signals()
            if child and child.poll() is None:
                os.killpg(child.pid, 9)
                child.wait()
            release_signals(held)
        output.seek(0)
        text = output.read()
    if status is None:
        text += ("\n%s timed out after %d s" % (os.path.basename(command[0]), deadline)).encode("ascii")
    return status, text if str is bytes else text.decode("utf-8", "replace")


def wait(child, deadline, doing):
    started = told = clock()
    pause = 0.002
    while True:
        held = hold_signals()  # one that comes within poll() leaves its lock taken, and wait() would wait for ever
        status = child.poll()
        release_signals(held)
        if status is not None:
            return status
        now = clock()
        if now - started > deadline:
            return None
        if doing and now - told > 15:
            told = now
            say("still %s (%d s)" % (doing, now - started))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def hold_signals():
    """Until they are released: one that came between a child's start and our knowing of it would leave it behind.
    Returns what was held before; None on Python 2.7, which can't."""
    import signal
    hold = getattr(signal, "pthread_sigmask", None)
    return hold(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM)) if hold else None


def release_signals(held):
    if held is not None:
        import signal
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def first_act(held):
    """What a child does first: lead its own group, and (Linux) ask to be killed when this process is."""
    prctl = None
    if sys.platform.startswith("linux"):
        try:
            import ctypes
            prctl = ctypes.CDLL(None).prctl
        except (ImportError, OSError, AttributeError):
            pass

    def act():
        os.setsid()
        if prctl:
            prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        release_signals(held)

    return act


# --- handing over ----------------------------------------------------------------------------------------------------


def mark_used(environment):
    try:
        os.utime(os.path.join(environment, "used"), None)
    except OSError:
        pass  # a read-only place: then nothing is ever removed there either


def write_launcher(environment):
    """`devstack` for later commands, unless something that isn't ours has that name. Not worth failing for."""
    folder = os.environ.get("XDG_BIN_HOME", "")
    if not os.path.isabs(folder):
        folder = os.path.join(os.environ.get("HOME", ""), ".local", "bin")
    path = os.path.join(folder, "devstack")
    try:
        if not os.path.isabs(folder) or os.path.islink(path):
            return
        old = read_or_nothing(path)
        new = os.fsencode(launcher(environment))
        if old == new or (MARKER.encode() not in old and os.path.lexists(path)):
            return
        os.makedirs(folder, exist_ok=True)
        write(path, new, 0o755)
    except OSError:
        pass


def launcher(environment):
    python, script = quoted(os.path.join(environment, "bin", "python")), this_file()
    lines = ["#!/bin/sh", MARKER, "unset " + " ".join(HARMFUL), "if [ -x %s ]; then" % python,
             '    exec %s -P -m devstack "$@"' % python, "fi"]
    return "\n".join(lines + ['exec python3 %s "$@"' % quoted(script)] * bool(script)) + "\n"


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def hand_over(environment, arguments):
    """Become devstack. -P: a cloned project may have a folder `devstack`, so the current folder isn't searched."""
    python = os.path.join(environment, "bin", "python")
    variables = harmless_environment()
    for name in ("DEVSTACK_BOOTSTRAP_EXTRA", "DEVSTACK_BOOTSTRAP_MODULE"):
        variables.pop(name, None)
    if MODULE == "devstack":
        variables["DEVSTACK_BOOTSTRAP"] = this_file()
    os.execve(python, [python, "-P", "-m", MODULE] + arguments, variables)


def guarded(arguments):
    """main(), with every failure as text and an exit code. Only a bug in this file gives a traceback."""
    ours = arguments[:arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in ours or os.environ.get("DEVSTACK_JSON", "").lower() in ("1", "true", "yes", "on")
    try:
        return main(arguments)
    except StopError as stop:
        return stop.show(as_json)
    except KeyboardInterrupt:
        return StopError("interrupted", "stopped on request", "Ctrl-C", "run the same command again", 130).show(as_json)
    except EnvironmentError as error:
        where = " (%s)" % error.filename if error.filename else ""
        return StopError("storage-failed", "devstack's environment couldn't be made or started",
                         "%s%s" % (error.strerror or error, where),
                         "set XDG_DATA_HOME to a folder that you can write to, on a disk with space", 5).show(as_json)


if __name__ == "__main__":
    if not (getattr(sys.flags, "isolated", 0) or getattr(sys.flags, "safe_path", 0)):
        del sys.path[0]  # the folder of this file, or the current one: nothing there is the standard library
    sys.exit(guarded(sys.argv[1:]))
