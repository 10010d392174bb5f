"""What of the operating system a Python project may need: which package has a header, a tool or a command. Pure.

The tables hold what is common in Django projects; families are Debian's, Fedora's and macOS with Homebrew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Where packages would be installed. family: `debian`, `fedora`, `macos`, "" for any other."""

    family: str
    is_root: bool = False

    def command(self, packages: Sequence[str]) -> str:
        """The one command that installs these packages here, "" where it isn't known."""
        listed = " ".join(dict.fromkeys(packages))
        sudo = "" if self.is_root else "sudo "
        return {
            "debian": f"{sudo}apt-get install -y {listed}", "fedora": f"{sudo}dnf install -y {listed}",
            "macos": f"brew install {listed}",
        }.get(self.family, "")


@dataclass(frozen=True)
class Need:
    """Something that a build looked for: Debian's, Fedora's and Homebrew's packages of it."""

    pattern: str
    thing: str
    debian: str
    fedora: str
    brew: str

    def command(self, machine: Machine, minor: str = "3") -> str:
        """What installs it. minor: of the Python that is built for, such as `3.11`."""
        if machine.family == "macos" and not self.brew:
            return "xcode-select --install"
        packages = {"debian": self.debian, "fedora": self.fedora, "macos": self.brew}.get(machine.family, "")
        found = machine.command(packages.replace("{minor}", minor).split())
        return found if packages and found else f"install {self.thing} with this system's package manager"


#: asked in this order: a named header says more than "the compiler failed"
NEEDS = (
    Need(
        r"pg_config executable not found|pg_config.*is required|libpq-fe\.h",
        "pg_config and libpq's headers", "libpq-dev", "libpq-devel", "libpq",
    ),
    Need(
        r"mysql_config|mysql\.h|Can not find valid pkg-config name|mariadb_config",
        "MySQL's headers", "default-libmysqlclient-dev pkg-config", "mysql-devel pkgconf", "mysql-client pkg-config",
    ),
    Need(
        r"(lber|ldap)\.h", "OpenLDAP's headers", "libldap-dev libsasl2-dev", "openldap-devel cyrus-sasl-devel",
        "openldap",
    ),
    Need(r"sasl/sasl\.h|\bsasl\.h", "Cyrus SASL's headers", "libsasl2-dev", "cyrus-sasl-devel", "cyrus-sasl"),
    Need(
        r"xmlsec1|xmlsec/\w+\.h|\bxmlsec\.h", "xmlsec1's headers", "libxmlsec1-dev pkg-config",
        "xmlsec1-devel xmlsec1-openssl-devel", "libxmlsec1 pkg-config",
    ),
    Need(
        r"libxml/\w+\.h|libxml2 and libxslt|xslt-config|xml2-config",
        "libxml2's and libxslt's headers", "libxml2-dev libxslt1-dev", "libxml2-devel libxslt-devel", "libxml2 libxslt",
    ),
    Need(r"curl-config|curl/curl\.h", "libcurl's headers", "libcurl4-openssl-dev", "libcurl-devel", "curl"),
    Need(
        r"jpeglib\.h|headers or library files could not be found for jpeg",
        "libjpeg's headers", "libjpeg-dev zlib1g-dev", "libjpeg-turbo-devel zlib-devel", "jpeg",
    ),
    Need(
        r"\bzlib\.h|headers or library files could not be found for zlib", "zlib's headers", "zlib1g-dev",
        "zlib-devel", "zlib",
    ),
    Need(r"\bffi\.h", "libffi's headers", "libffi-dev", "libffi-devel", "libffi"),
    Need(r"openssl/\w+\.h", "OpenSSL's headers", "libssl-dev", "openssl-devel", "openssl"),
    Need(r"\bsqlite3(ext)?\.h", "SQLite's headers", "libsqlite3-dev", "sqlite-devel", "sqlite"),
    Need(r"\bsql(ext)?\.h", "unixODBC's headers", "unixodbc-dev", "unixODBC-devel", "unixodbc"),
    Need(r"gdal-config|\bgdal\.h", "GDAL", "libgdal-dev", "gdal-devel", "gdal"),
    Need(r"\bgeos_c\.h|geos-config", "GEOS", "libgeos-dev", "geos-devel", "geos"),
    Need(r"\bfuzzy\.h", "libfuzzy's headers", "libfuzzy-dev", "ssdeep-devel", "ssdeep"),
    Need(r"\bmagic\.h", "libmagic's headers", "libmagic-dev", "file-devel", "libmagic"),
    Need(r"\byaml\.h", "libyaml's headers", "libyaml-dev", "libyaml-devel", "libyaml"),
    Need(r"\bft2build\.h|freetype\w*\.h", "FreeType's headers", "libfreetype-dev", "freetype-devel", "freetype"),
    Need(r"\bcairo\.h|cairo\b.*not found", "Cairo's headers", "libcairo2-dev pkg-config", "cairo-devel pkgconf",
         "cairo pkg-config"),
    Need(r"gssapi/\w+\.h|krb5-config|\bkrb5\.h", "Kerberos's headers", "libkrb5-dev", "krb5-devel", "krb5"),
    Need(r"\bgraphviz/\w+\.h|\bcgraph\.h", "Graphviz's headers", "libgraphviz-dev pkg-config", "graphviz-devel",
         "graphviz"),
    Need(r"\bsnappy-c\.h", "Snappy's headers", "libsnappy-dev", "snappy-devel", "snappy"),
    Need(r"\bcups/\w+\.h", "CUPS's headers", "libcups2-dev", "cups-devel", "cups"),
    Need(r"\blibmemcached/\w+\.h", "libmemcached's headers", "libmemcached-dev", "libmemcached-devel", "libmemcached"),
    Need(r"librdkafka", "librdkafka's headers", "librdkafka-dev", "librdkafka-devel", "librdkafka"),
    Need(r"\bPython\.h", "Python's own headers", "python{minor}-dev", "python{minor}-devel", "python@{minor}"),
    Need(
        r"can't find Rust compiler|(cargo|rustc)\b.*not (found|installed)|No such file or directory: '(cargo|rustc)'"
        r"|Rust(, the programming language,| toolchain).*(not|required|install)",
        "Rust", "cargo", "cargo", "rust",
    ),
    Need(r"(?i)cmake\b.*(not found|must be installed)|No such file or directory: 'cmake'", "CMake", "cmake", "cmake",
         "cmake"),
    Need(r"(?i)\bswig\d?\b.*(not found|No such file)|No such file or directory: 'swig\d?'", "SWIG", "swig", "swig",
         "swig"),
    Need(r"(?i)git\b[^\n]*(executable not found|command not found)|No such file or directory: 'git'|Git executable not "
         r"found", "git", "git", "git", "git"),
    Need(r"pkg-config\b.*not found|No such file or directory: 'pkg-config'", "pkg-config", "pkg-config", "pkgconf",
         "pkg-config"),
    Need(
        r"(?i)(gcc|\bcc|g\+\+|clang)\b['\"`]?:? [^\n]*(not found|No such file)"
        r"|No such file or directory: '(\S*gcc|cc|g\+\+|make)'|unable to execute '?\S*(gcc|cc)\b"
        r"|Microsoft Visual C\+\+ 14|no acceptable C compiler",
        "a C compiler", "build-essential", "gcc gcc-c++ make", "",
    ),
)

#: libraries that wheels look for when they run, since they don't bring them
LIBRARIES = (
    Need(r"libodbc\.so|libodbc\.\d*\.?dylib", "unixODBC", "unixodbc", "unixODBC", "unixodbc"),
    Need(r"libmagic", "libmagic", "libmagic1", "file-libs", "libmagic"),
    Need(
        r"libgobject-2|gobject-2\.0|libpango|pango-1\.0", "Pango", "libpango-1.0-0 libpangoft2-1.0-0", "pango", "pango",
    ),
    Need(r"libcairo|cairo-2", "Cairo", "libcairo2", "cairo", "cairo"),
    Need(r"libzbar|zbar shared library", "ZBar", "libzbar0", "zbar", "zbar"),
    Need(r"libpq\.so|libpq library not found", "libpq", "libpq5", "libpq", "libpq"),
    Need(
        r"libxmlsec1|Cannot find \[?'?xmlsec1", "xmlsec1", "xmlsec1", "xmlsec1 xmlsec1-openssl", "libxmlsec1",
    ),
    Need(r"GDAL library", "GDAL", "gdal-bin", "gdal-libs", "gdal"),
    Need(r"GEOS (C )?library|libgeos_c", "GEOS", "libgeos-c1v5", "geos", "geos"),
    Need(r"libGL\.so", "OpenGL", "libgl1", "mesa-libGL", ""),
    Need(r"libmysqlclient|libmariadb", "MySQL's client library", "libmariadb3", "mariadb-connector-c", "mysql-client"),
)

#: command → Debian's, Fedora's and Homebrew's package, where it isn't called like the command
_COMMANDS = {
    "msgfmt": ("gettext", "gettext", "gettext"),
    "xgettext": ("gettext", "gettext", "gettext"),
    "tesseract": ("tesseract-ocr", "tesseract", "tesseract"),
    "gs": ("ghostscript", "ghostscript", "ghostscript"),
    "convert": ("imagemagick", "ImageMagick", "imagemagick"),
    "magick": ("imagemagick", "ImageMagick", "imagemagick"),
    "pdftotext": ("poppler-utils", "poppler-utils", "poppler"),
    "pdftoppm": ("poppler-utils", "poppler-utils", "poppler"),
    "xmlsec1": ("xmlsec1", "xmlsec1", "libxmlsec1"),
    "dot": ("graphviz", "graphviz", "graphviz"),
    "exiftool": ("libimage-exiftool-perl", "perl-Image-ExifTool", "exiftool"),
    "ffprobe": ("ffmpeg", "ffmpeg", "ffmpeg"),
    "soffice": ("libreoffice", "libreoffice", "libreoffice"),
    "node": ("nodejs", "nodejs", "node"),
    "npm": ("npm", "nodejs-npm", "node"),
    "psql": ("postgresql-client", "postgresql", "libpq"),
    "pg_dump": ("postgresql-client", "postgresql", "libpq"),
    "pg_config": ("libpq-dev", "libpq-devel", "libpq"),
    "mysql_config": ("default-libmysqlclient-dev", "mysql-devel", "mysql-client"),
    "gdal-config": ("libgdal-dev", "gdal-devel", "gdal"),
    "gcc": ("build-essential", "gcc", "gcc"),
    "cc": ("build-essential", "gcc", "gcc"),
    "java": ("default-jre-headless", "java-latest-openjdk-headless", "openjdk"),
    "7z": ("p7zip-full", "p7zip-plugins", "p7zip"),
    "redis-cli": ("redis-tools", "redis", "redis"),
    "rustc": ("rustc", "rust", "rust"),
}
_FAMILIES = ("debian", "fedora", "macos")


def package_of(command: str, family: str) -> str:
    """The package that has this command; most are called like their command."""
    return dict(zip(_FAMILIES, _COMMANDS.get(command, (command,) * 3), strict=True)).get(family, command)


def is_known_command(command: str) -> bool:
    """Is it a command whose package is known for certain?"""
    return command in _COMMANDS


def family_of(os_release: str) -> str:
    """`debian`, `fedora` or "" from the text of /etc/os-release."""
    named = " ".join(re.findall(r"^ID(?:_LIKE)?=\"?([^\"\n]*)", os_release, re.M)).split()
    if {"debian", "ubuntu"} & set(named):
        return "debian"
    return "fedora" if {"fedora", "rhel", "centos"} & set(named) else ""
