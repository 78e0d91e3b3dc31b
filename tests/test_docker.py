"""The files of docker/, by rules of our own, for no Docker engine runs here; health.py and entrypoint.sh are run.

TFPRUNE_TEST_IMAGE=1 also makes the image's folder and Python environment, by the Dockerfile's own lines: minutes, and needs a network.
"""
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv

import pytest
import yaml

from tests.conftest import ROOT, script_environment

DOCKER = ROOT / "docker"
SOURCES = [path for path in (*DOCKER.iterdir(), ROOT / ".dockerignore") if path.is_file()]
README = (DOCKER / "README.md").read_text()
COMPOSE = yaml.safe_load((DOCKER / "compose.yml").read_text())
RULES = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def instructions():
    """(word, rest) of every instruction of the Dockerfile, continued lines joined."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def those(word):
    return [rest for found, rest in instructions() if found == word]


def in_context(path):
    """Whether .dockerignore lets a path (relative, with /) into the build: the last rule that matches it or a folder above decides."""
    inside = True
    for rule in RULES:
        pattern = re.escape(rule.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.match(pattern + "(/|$)", path):
            inside = rule.startswith("!")
    return inside


def pins(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines), "a constraint is exact"
    return [re.sub("[-_.]+", "-", line.split("==")[0]).lower() for line in lines]


def test_the_base_is_pinned_and_a_python_that_we_support():
    (base,) = those("FROM")
    minor = re.fullmatch(r"python:3\.(\d+)\.\d+-slim-[a-z]+(?:@sha256:[0-9a-f]{64})?", base)
    low, high = re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', (ROOT / "setup.py").read_text()).groups()
    assert minor and int(low) <= int(minor[1]) < int(high)


def test_nothing_runs_as_root():
    words = [word for word, _ in instructions()]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", those("USER")[-1]), "a number, so that the host can say who it is"
    assert words.index("USER") < words.index("ENTRYPOINT") and "RUN" not in words[words.index("USER"):]
    assert not any("sudo" in rest for rest in those("RUN"))


def test_entry_health_and_volumes():
    assert "tini" in ast.literal_eval(those("ENTRYPOINT")[0]) and isinstance(ast.literal_eval(those("CMD")[0]), list)
    commands = [those("ENTRYPOINT")[0], those("HEALTHCHECK")[0], those("CMD")[0]]
    for path in re.findall(r'"(?:/tfprune/)?([\w/]+\.(?:py|sh))"', " ".join(commands)):
        assert (ROOT / path).is_file() and in_context(path)
    assert ast.literal_eval(those("VOLUME")[0]) == [f"{those('WORKDIR')[-1]}/results", f"{those('WORKDIR')[-1]}/datasets"]


def test_what_is_copied_is_there():
    for rest in those("COPY"):
        *sources, _ = rest.split()
        assert all((ROOT / source).exists() and (source == "." or in_context(source)) for source in sources), rest


def test_the_context():
    kept = ["train.py", "setup.py", "README.md", "data/build.py", "tfprune/report/page.js", "docker/entrypoint.sh", "notebooks/execute.py"]
    left_out = [".git/config", ".venv/bin/python", "results/laptop/a/config.json", "datasets/mnist/x", ".env", "docker/.env", "id_rsa",
                "notes.txt", "tests/conftest.py", "tfprune/__pycache__/run.cpython-311.pyc", "tfprune.egg-info/PKG-INFO", "build/lib/a.py"]
    assert [path for path in kept if not in_context(path)] == [] == [path for path in left_out if in_context(path)]
    code = [str(path.relative_to(ROOT)) for path in (ROOT / "tfprune").rglob("*.*") if "__pycache__" not in path.parts]
    assert all(map(in_context, code))


def test_all_packages_are_constrained():
    ours, more = pins(ROOT / "constraints.txt"), pins(DOCKER / "constraints.txt")
    assert len({*ours, *more}) == len(ours) + len(more), "no package twice"
    (install,) = [rest for rest in those("RUN") if "pip install" in rest]
    assert "-c constraints.txt -c docker/constraints.txt" in install
    setup = ast.parse((ROOT / "setup.py").read_text())
    asked = {keyword.arg: ast.literal_eval(keyword.value) for node in ast.walk(setup) if isinstance(node, ast.Call)
             for keyword in node.keywords if keyword.arg in ("install_requires", "extras_require")}
    extras = "report,notebooks,gpu"
    assert f"EXTRAS={extras}" in README and COMPOSE["services"]["train"]["build"]["args"]["EXTRAS"] == extras
    needed = [*asked["install_requires"], *(name for extra in extras.split(",") for name in asked["extras_require"][extra])]
    names = {re.sub("[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower() for name in needed}
    assert names <= {*ours, *more}


def test_no_secret_no_path_of_a_machine_no_other_registry():
    forbidden = r"(?i)/work/|/root\b|/opt/|\b(ghcr|quay|gcr|nvcr)\.io|password|secret|api_?key|://[^/\s]*@|latest\b"
    assert {path.name: found for path in SOURCES if (found := re.findall(forbidden, path.read_text()))} == {}


def test_the_readme_names_what_exists():
    scripts = re.findall(r"[\w./]+\.(?:py|sh|yml|txt)\b", README)
    assert {"train.py", "docker/compose.yml"} <= set(scripts)
    assert [name for name in scripts if not (ROOT / name).is_file()] == []
    services = {*re.findall(r"run --build --rm (\w+)", README), *re.findall(r"up --build (\w+)", README)}
    assert services and services <= set(COMPOSE["services"])
    images = set(re.findall(r"tfprune:\w+", README))
    assert images == {service["image"] for service in COMPOSE["services"].values()}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose(name):
    service = COMPOSE["services"][name]
    context = (DOCKER / service["build"]["context"]).resolve()
    assert context == ROOT and (context / service["build"]["dockerfile"]).is_file()
    assert set(service["build"]["args"]) <= {rest.partition("=")[0] for rest in those("ARG")}
    assert re.fullmatch(r"\$\{USER_ID:-1000\}:\$\{GROUP_ID:-1000\}", service["user"])
    for volume in service["volumes"]:
        assert volume["bind"] == {"create_host_path": False}, "Docker would make a missing folder root's"
        assert volume["target"] in ast.literal_eval(those("VOLUME")[0])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    known = {"make", "tensorboard", "jupyter", "python"}
    assert service["command"][0] in known


def test_the_demo_is_the_makefiles_without_its_environment(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)  # where there is no .venv, as in the image
    dry = [*COMPOSE["services"]["demo"]["command"], "--dry-run"]
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}  # of `make test`
    lines = subprocess.run(dry, cwd=tmp_path, env=outside, capture_output=True, text=True, check=True).stdout.splitlines()
    called = [shlex.split(line)[:2] for line in lines if not line.startswith("echo")]
    assert len(called) > 10 and {python for python, _ in called} == {"/usr/local/bin/python"}
    assert all((ROOT / script).is_file() and in_context(script) for _, script in called)


def test_shell():
    for shell in ("sh", "bash"):
        subprocess.run([shell, "-n", DOCKER / "entrypoint.sh"], check=True)


@pytest.fixture
def container(tmp_path):
    """A function that runs a command through the entrypoint in a folder with docker/, with a nvidia-smi of the test's."""
    shutil.copytree(DOCKER, tmp_path / "tfprune" / "docker")
    (tmp_path / "bin").mkdir()

    def run(*command, driver, commit=""):
        # Python by its own path: a link to it elsewhere would not know its environment's packages
        for name, line in {"nvidia-smi": driver, "python": f'exec "{sys.executable}" "$@"'}.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        environment = script_environment() | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TFPRUNE_COMMIT": commit}
        done = subprocess.run(["sh", tmp_path / "tfprune/docker/entrypoint.sh", *command], env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr.splitlines()

    return run


def test_the_entrypoint_becomes_its_command(container):
    status, out, lines = container("sh", "-c", "echo $0 of 2; exit 7", "one", driver="echo NVIDIA H200, 143771 MiB", commit="a" * 40)
    assert (status, out) == (7, "one of 2\n")
    assert re.fullmatch(r"tfprune a{12}; Python 3\.\d+\.\d+; tensorflow 2\.\d+\.\d+; tf_keras 2\.\d+\.\d+; "
                        r"devices: \d+ CPU cores, GPU 0 NVIDIA H200, 143771 MiB.*", lines[0]) and len(lines) == 1


def test_health_names_what_is_wrong(container, tmp_path):
    status, out, lines = container("python", tmp_path / "tfprune/docker/health.py", driver="echo 'Failed to initialize NVML'; exit 255")
    assert status == 1 and out.splitlines()[1:] == ["health: nvidia-smi: Failed to initialize NVML"] and len(lines) == 2
    status, out, _ = container("python", tmp_path / "tfprune/docker/health.py", driver="true")
    assert status == 0 and out.count("\n") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_of_another_user_is_named(tmp_path):
    shutil.copytree(DOCKER, tmp_path / "docker")
    (tmp_path / "results").mkdir(mode=0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest-", "popen-")) or folder == tmp_path:  # pytest keeps its folders to their owner
            folder.chmod(0o755)
    code = f"import os, sys; sys.path.insert(0, {str(tmp_path / 'docker')!r}); import health; wrong = []; " \
           "os.setgroups([]); os.setgid(1000); os.setuid(1000); health._check_folder(health.ROOT / 'results', wrong); print(wrong)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "results/ cannot be written by user 1000: make the folder before docker run" in out


def test_health_imports_no_tensorflow():
    code = f"import runpy, sys; sys.argv = ['health.py']\ntry:\n    runpy.run_path({str(DOCKER / 'health.py')!r}, run_name='__main__')\n" \
           "except SystemExit:\n    pass\nassert not {'tensorflow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.skipif(not os.environ.get("TFPRUNE_TEST_IMAGE"), reason="minutes: TFPRUNE_TEST_IMAGE=1 makes the image's environment")
def test_the_images_environment(tmp_path):
    """The context by .dockerignore, the pip line by the Dockerfile, then the entrypoint, a script and the demo's first training."""
    root = tmp_path / "tfprune"
    for path in ROOT.rglob("*"):
        relative = path.relative_to(ROOT).as_posix()
        if not relative.startswith((".venv/", ".git/")) and path.is_file() and in_context(relative):
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / relative)
    venv.create(tmp_path / "python", with_pip=True)
    stub = tmp_path / "stub"
    for rest in those("COPY")[:-1]:
        *sources, target = rest.split()
        (stub / target).mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(root / source, stub / target)
    (install,) = [rest for rest in those("RUN") if "pip install" in rest]
    (extras,) = [rest.partition("=")[2] for rest in those("ARG") if rest.startswith("EXTRAS=")]
    keep = {key: value for key, value in script_environment().items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = keep | {"PATH": f"{tmp_path / 'python' / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(root), "HOME": str(tmp_path),
                          "EXTRAS": os.environ.get("TFPRUNE_TEST_EXTRAS", extras)}
    done = subprocess.run(["sh", "-e", "-c", install], cwd=stub, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def run(*command):
        done = subprocess.run(["sh", "docker/entrypoint.sh", *command], cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    assert run("sh", "-c", "python experiments.py --list | head -3").stderr.startswith("tfprune; Python 3.")
    assert "train: done" in run("python", "train.py", "9002", "--set=hyper.max_num_epochs=1").stdout
    assert (root / "results" / "laptop").is_dir()
    run("tensorboard", "--version")
    run("jupyter", "lab", "--version")
