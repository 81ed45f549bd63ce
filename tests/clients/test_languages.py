"""docs/clients.md: the stub commands and the ten lines of each language, as they stand there, against a real daemon."""
import glob
import os
import re
import shutil
import subprocess

import pytest

from daemon import ROOT

TEXT = open(os.path.join(ROOT, "docs", "clients.md"), encoding="utf-8").read()
ADDRESS = "127.0.0.1:50052"
PROTO = os.path.join(ROOT, "proto")
GO_SOURCES = "/usr/share/gocode"
JARS = ("grpc-*", "protobuf", "guava", "netty-*", "perfmark*", "jsr305", "geronimo-annotation-1.3-spec", "opencensus-api",
        "error_prone_annotations", "failureaccess")


def section(name):
    return TEXT[TEXT.index(f"\n## {name}\n"):].split("\n## ")[1]


def block(name, language):
    return re.search(rf"```{language}\n(.*?)```", section(name), re.S).group(1)


@pytest.fixture(scope="module")
def digits():
    from daemon import starting
    with starting() as begin:
        yield begin(models=["digits"], repository=os.path.join(ROOT, "conf", "models"))


def run(*argv, **kw):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **kw)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


def write(path, text, d):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert "50052" in text
    path.write_text(text.replace(ADDRESS, d.tcp).replace('"127.0.0.1", 50052', f'"127.0.0.1", {d.port}'))


def stubs(name, where):
    run("sh", "-eu", "-c", block(name, "sh").replace("-I proto", f"-I {PROTO}"), cwd=where)


GO = """package main

import (
	"context"
	"fmt"
	"log"

	"example/modeld"

	"google.golang.org/grpc"
	%s
)

func main() {
	ctx := context.Background()
%s
}
"""
# Debian 12's grpc-go marshals by golang/protobuf 1.3, which does not know what protoc-gen-go 1.28 has made.
CODEC = """package main

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
)

type codec struct{}

func (codec) Marshal(v interface{}) ([]byte, error)   { return proto.Marshal(v.(proto.Message)) }
func (codec) Unmarshal(b []byte, v interface{}) error { return proto.Unmarshal(b, v.(proto.Message)) }
func (codec) Name() string                            { return "proto" }

func init() { encoding.RegisterCodec(codec{}) }
"""


@pytest.mark.skipif(not shutil.which("go") or not shutil.which("protoc-gen-go-grpc"), reason="needs golang-go, protoc-gen-go, protoc-gen-go-grpc")
@pytest.mark.skipif(not os.path.exists(f"{GO_SOURCES}/src/google.golang.org/grpc"), reason="needs golang-google-grpc-dev")
def test_go(digits, tmp_path):
    """Of Debian's packages, without modules; where they are older, by the line that the page has for that, and a codec."""
    package = tmp_path / "src" / "example"
    package.mkdir(parents=True)
    stubs("Go", package)
    lines = block("Go", "go")
    old = "func NewClient(" not in open(f"{GO_SOURCES}/src/google.golang.org/grpc/clientconn.go", encoding="utf-8").read()
    if old:
        first = re.search(r"`(conn, err := grpc\.Dial\(.*?\))`", section("Go")).group(1)
        lines = re.sub(r"^conn, err := .*", lambda _: first, lines, flags=re.M)
        (package / "codec.go").write_text(CODEC)
    write(package / "main.go", GO % ("" if old else '"google.golang.org/grpc/credentials/insecure"', lines), digits)
    said = run("go", "run", "example", cwd=package, env=dict(os.environ, GO111MODULE="off", GOPATH=f"{tmp_path}:{GO_SOURCES}",
                                                             GOCACHE=str(tmp_path / "cache")))
    assert said == "[1 10] <nil>\n"


JAVA = """%s
public class Example {
    public static void main(String[] arguments) {
%s
    }
}
"""


@pytest.mark.skipif(not shutil.which("javac") or not shutil.which("grpc_java_plugin"),
                    reason="needs default-jdk-headless, protobuf-compiler-grpc-java-plugin")
@pytest.mark.skipif(not os.path.exists("/usr/share/java/grpc-netty.jar") or not os.path.exists("/usr/share/java/netty-codec-http2.jar"),
                    reason="needs libgrpc-java, libnetty-java, libperfmark-java")
def test_java(digits, tmp_path):
    """Of Debian's packages: by the command in place of the plugin of Maven."""
    (tmp_path / "generated").mkdir()
    stubs("Java", tmp_path)
    lines = block("Java", "java")
    imports = "".join(re.findall(r"^import .*\n", lines, re.M))
    write(tmp_path / "Example.java", JAVA % (imports, lines.replace(imports, "")), digits)
    path = ":".join(p for pattern in JARS for p in glob.glob(f"/usr/share/java/{pattern}.jar"))
    run("javac", "-nowarn", "-cp", path, "-d", "classes", *glob.glob(f"{tmp_path}/generated/**/*.java", recursive=True),
        "Example.java", cwd=tmp_path)
    assert run("java", "-cp", f"{path}:classes", "Example", cwd=tmp_path) == "[1, 10]\n"


def has_grpc_js():
    return shutil.which("node") and subprocess.run(["node", "-e", "require('@grpc/grpc-js'), require('@grpc/proto-loader')"],
                                                   capture_output=True).returncode == 0


@pytest.mark.skipif(not has_grpc_js(), reason="needs node, and @grpc/grpc-js and @grpc/proto-loader in NODE_PATH")
def test_javascript(digits, tmp_path):
    write(tmp_path / "example.js", block("JavaScript", "js"), digits)
    os.symlink(PROTO, tmp_path / "proto")
    assert run("node", "example.js", cwd=tmp_path) == "null [ 1, 10 ]\n"


@pytest.mark.skipif(not shutil.which("dotnet"), reason="needs dotnet")
def test_csharp(digits, tmp_path):
    run("dotnet", "new", "console", "-o", tmp_path)
    for package in ("Grpc.Tools", "Grpc.Net.Client", "Google.Protobuf"):
        run("dotnet", "add", "package", package, cwd=tmp_path)
    project = next(tmp_path.glob("*.csproj"))
    item = re.search(r"`(<Protobuf .*? />)`", section("C#")).group(1)
    project.write_text(project.read_text().replace("</Project>", f"<ItemGroup>{item}</ItemGroup></Project>"))
    os.symlink(PROTO, tmp_path / "proto")
    write(tmp_path / "Program.cs", block("C#", "csharp"), digits)
    assert run("dotnet", "run", cwd=tmp_path).split() == ["[", "1,", "10", "]"]


CARGO = """[package]
name = "example"
version = "0.1.0"
edition = "2021"
[dependencies]
tonic = "*"
tonic-prost = "*"
prost = "*"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
[build-dependencies]
tonic-prost-build = "*"
"""
RUST = """pub mod modeld { tonic::include_proto!("remotemedia.model_registry.v1"); }
use modeld::{model_worker_service_client::ModelWorkerServiceClient, *};
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
%s
    Ok(())
}
"""


@pytest.fixture
def crate(tmp_path):
    """A crate with what the example needs, where that can be had without the network."""
    if not shutil.which("cargo"):
        pytest.skip("needs cargo")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.rs").write_text("")
    (tmp_path / "Cargo.toml").write_text(CARGO)
    if subprocess.run(["cargo", "fetch", "--offline"], cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("needs tonic, tonic-prost, tonic-prost-build, prost and tokio, fetched by cargo before")
    return tmp_path


def test_rust(digits, crate):
    os.symlink(PROTO, crate / "proto")
    build = re.search(r"`(tonic_prost_build::compile_protos\(.*?\))`", section("Rust")).group(1)
    (crate / "build.rs").write_text("fn main() { %s.unwrap() }\n" % build)
    write(crate / "src" / "main.rs", RUST % block("Rust", "rust"), digits)
    assert "shape: [1, 10]" in run("cargo", "run", "--offline", "-q", cwd=crate)
