"""make deploy and the workflows answer each wrong input with parameter and advice, verbatim."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hsm_lifecycle import creation_rules, ownership, property_rules
from hsm_lifecycle.properties import ClusterProperties
from hsm_lifecycle.steps import (
    admin_login,
    cluster_update,
    key_store,
    key_store_adoption,
    key_store_ownership,
    key_store_update,
    kms_user,
    preflight,
)
from scripts.stack import assignments
from tests.support.account import STACK_ID, ZONES, Account, Json
from tests.support.key_store_setup import CA_SECRET, NAME, UNKNOWN
from tests.support.resource_properties import KEY_STORE, resource_properties
from tests.support.step_events import of_stack
from tests.support.wrong_inputs import ANSWERS, REFUSED_BY_CLOUDFORMATION
from tests.templates.template import ROOT, Template

Ask = Callable[[], object]

# What a reader is told to do, or what is required.
ADVICE = re.compile(
    r"\b(Add|Attach|Choose|Close|Create|Delete|deploy|Did you mean|Disconnect|Give|give|Keep|List"
    r"|Lower|Name|Quote|Raise|Retry|Set|set|Store|Use|must be|requires?|not in AllowedValues"
    r"|is not a whole number|see the parameter's description|See docs)\b"
)
# Answers that begin with what make or CloudFormation calls the parameters.
WITHOUT_PARAMETER = ("PARAMS", "Stack tags")
# The six mistakes of a key store's stack that once had one sentence.
MISTAKES = (
    "the cluster does not exist",
    "the cluster has HSMs in one zone",
    "the CA is another cluster's",
    "the admin's secret does not exist",
    "the client is terminated",
    "the name is taken",
)


class Scene:
    """An account with a cluster for key stores, one key store, and what is wrong."""

    def __init__(self, account: Account, cluster: str) -> None:
        self.account, self.cluster = account, cluster
        self.store = account.add_store(cluster)
        self.other = account.restored(*ZONES[:2])
        account.put("/try/junk", "junk")
        account.put("/try/other-ca", account.anchors[self.other])
        account.put("/try/admin", '{"username": "admin", "password": "Password1"}')
        launch = partial(account.ec2.run_instances, ImageId="ami-00000001", MinCount=1, MaxCount=1)
        self.instance = launch(SubnetId=account.subnets[0])["Instances"][0]["InstanceId"]
        self.labels = {
            cluster: "{cluster}",
            self.other: "{other}",
            self.store: "{store}",
            self.instance: "{instance}",
            **dict.fromkeys(account.subnets, "{subnet}"),
            account.cluster(cluster)["SourceBackupId"]: "{backup}",
        }

    def answer(self, ask: Ask) -> str:
        """The sentence with which the request is refused, with labels instead of IDs."""
        try:
            ask()
        except Exception as error:  # each kind of refusal
            text = str(error)
        else:
            raise AssertionError("accepted")
        for id_, label in self.labels.items():
            text = text.replace(id_, label)
        return text

    def run(self, step: Callable[..., Json], **event: Any) -> Ask:
        return partial(self.account.run, step, **event)

    def on_cluster(self, cluster_id: str, ca: str = CA_SECRET, store: str = "") -> Ask:
        return self.run(
            key_store.check_cluster,
            ClusterId=cluster_id,
            KeyStoreId=store,
            CloudHsmCustCaCertSecretName=ca,
        )

    def creation(self, **properties: Any) -> Ask:
        given = self.account.properties(**properties)
        return self.run(preflight.check_creation, **of_stack(ResourceProperties=given))

    def update(self, **properties: Any) -> Ask:
        given = {"Subnets": list(self.account.subnets), "NetworkType": "IPV4", **properties}
        wanted = ClusterProperties.parse(self.account.properties(**given))

        def ask() -> None:
            described = self.account.cluster(self.cluster)
            found = cluster_update._fixed_parameters_changed(described, wanted)
            creation_rules.refuse_first(found)

        return ask

    def adoption(self, **changes: str) -> Ask:
        event = {
            "ExistingKeyStoreId": self.store,
            "Name": NAME,
            "ClusterId": self.cluster,
            "StackId": STACK_ID,
            "InstanceId": self.instance,
            "CloudHsmAdminPasswordSecretName": "/try/admin",
            "CloudHsmCustCaCertSecretName": CA_SECRET,
            **changes,
        }
        return self.run(key_store_adoption.adopt_key_store, **event)


def template() -> Any:
    return Template(ROOT / "templates" / "cloudhsm.yml").parameters


def of_make() -> Iterator[tuple[str, Ask]]:
    """What make deploy refuses before it asks AWS."""
    declared = template()
    check = partial(assignments.check, declared=declared)
    yield "a parameter is misspelled", partial(check, {"pHsmPerSubnet": "2"}, is_new=False)
    yield "a parameter is unlike any other", partial(check, {"xyz": "2"}, is_new=False)
    yield "required parameters are missing", partial(check, {"pMode": "FIPS"}, is_new=True)
    parse = partial(assignments.parse, "PARAMS")
    yield "a parameter is given twice", partial(parse, "pMode=FIPS pMode=FIPS")
    yield "a value with spaces is not quoted", partial(parse, "pReconcile=a b")
    yield "a quotation is not closed", partial(parse, "pReconcile='a b")


def of_properties() -> Iterator[tuple[str, Ask]]:
    """What a request may not have if CloudFormation's constraints are circumvented."""
    good = resource_properties(KEY_STORE)
    check = partial(property_rules.check, property_rules.KEY_STORE)
    missing = {name: value for name, value in good.items() if name != "ClientInstanceId"}
    yield "a property is missing", partial(check, missing)
    yield "a property is a list", partial(check, {**good, "KeyStoreName": ["keys"]})
    yield "a property is injected", partial(check, {**good, "ClientInstanceId": "i-1; rm -rf /"})


def of_creations(scene: Scene) -> Iterator[tuple[str, Ask]]:
    """What a cluster's creation refuses."""
    subnets = scene.account.subnets
    yield "no HSMs", scene.creation(HsmsPerSubnet="0")
    yield "too many HSMs", scene.creation(HsmsPerSubnet="10")
    yield "a number is none", scene.creation(HsmsPerSubnet="many")
    yield "certificates before there is a CSR", scene.creation(ExternallyProvidedCertsReady="true")
    yield "a subnet twice", scene.creation(Subnets=[subnets[0], subnets[0]])
    twin = scene.account.subnet(ZONES[0], 9)
    scene.labels[twin] = "{twin}"
    yield "two subnets in a zone", scene.creation(Subnets=[subnets[0], twin])
    yield "a backup that does not exist", scene.creation(BackupId="backup-aaaaaaaaaaa")
    yield (
        "too many tags",
        lambda: creation_rules.refuse_first(
            filter(None, [ownership.too_many_tags({str(n) for n in range(52)})])
        ),
    )
    yield "other subnets", scene.update(Subnets=[subnets[2]], BackupId="")
    yield "another mode", scene.update(Mode="NON_FIPS")
    yield "another network type", scene.update(NetworkType="DUALSTACK")
    yield "another backup", scene.update(BackupId="backup-aaaaaaaaaaa")


def of_key_stores(scene: Scene) -> Iterator[tuple[str, Ask]]:
    """What a key store's creation or update refuses."""
    account, cluster = scene.account, scene.cluster
    described = account.cluster(cluster)
    yield "the cluster does not exist", scene.on_cluster("cluster-aaaaaaaaaaa")
    yield "the cluster has a key store", scene.on_cluster(cluster)
    for what, change in (
        ("the cluster is degraded", {"State": "DEGRADED"}),
        ("the cluster has IPv6", {"NetworkType": "DUALSTACK"}),
        ("the cluster has HSMs in one zone", {"Hsms": described["Hsms"][:1]}),
    ):
        found = creation_rules.cluster_of_key_store(cluster, {**described, **change})
        yield what, partial(creation_rules.refuse_first, found)
    own = partial(scene.on_cluster, cluster, store=scene.store)
    yield "the CA's secret does not exist", own("/no/ca")
    yield "the CA's secret has no certificate", own("/try/junk")
    yield "the CA is another cluster's", own("/try/other-ca")
    secret = {"ClusterId": cluster, "CloudHsmAdminPasswordSecretName": "/no/admin"}
    yield "the admin's secret does not exist", partial(admin_login.require_secret, secret)
    yield "the client is terminated", partial(kms_user.client_role, "i-00000000000000000")
    yield "the client has no instance profile", partial(kms_user.client_role, scene.instance)
    claim = {"Name": NAME, "ClusterId": cluster, "StackId": STACK_ID}
    yield "the name is taken", scene.run(key_store_ownership.claim_key_store, **claim)
    yield "a key store that does not exist", scene.adoption(ExistingKeyStoreId=UNKNOWN)
    yield "a key store with another name", scene.adoption(Name="other")
    yield "a key store of an unrelated cluster", scene.adoption(ClusterId=scene.other)
    connected = {**account.store(scene.store), "ConnectionState": "CONNECTED"}
    found = creation_rules.existing_key_store(scene.store, NAME, connected)
    yield "a key store in use", partial(creation_rules.refuse_first, found)
    event = {
        "KeyStoreId": scene.store,
        "PhysicalResourceId": scene.store,
        "StackId": STACK_ID,
        "Name": NAME,
        "ClusterId": cluster,
        "CloudHsmAdminPasswordSecretName": "/try/admin",
        "CloudHsmCustCaCertSecretName": CA_SECRET,
        "ClientInstanceId": scene.instance,
    }
    update = partial(scene.run, key_store_update.check_key_store_update)
    yield "a move to an unrelated cluster", update(**{**event, "ClusterId": scene.other})
    taken = {"ResourceProperties": {"ExistingKeyStoreId": UNKNOWN}}
    yield "an update that takes a key store", update(**event, **taken)


def every(scene: Scene) -> Iterator[tuple[str, Ask]]:
    yield from of_make()
    yield from of_properties()
    yield from of_creations(scene)
    yield from of_key_stores(scene)


def test_each_wrong_input_gets_its_answer_verbatim(account: Account, cluster: str) -> None:
    scene = Scene(account, cluster)
    account.stack_status = "UPDATE_IN_PROGRESS"
    found = {what: scene.answer(ask) for what, ask in every(scene)}
    assert found == ANSWERS


def test_each_answer_names_the_parameter_and_what_to_do() -> None:
    answers = [*ANSWERS.values(), *(each.answer for each in REFUSED_BY_CLOUDFORMATION)]
    assert [
        each
        for each in answers
        if not (re.search(r"\bp[A-Z]\w+", each) or each.startswith(WITHOUT_PARAMETER))
        or not ADVICE.search(each)
    ] == []
    assert len(answers) >= 66


def test_six_mistakes_about_a_key_store_have_six_answers() -> None:
    assert len({ANSWERS[each] for each in MISTAKES}) == len(MISTAKES) == 6
