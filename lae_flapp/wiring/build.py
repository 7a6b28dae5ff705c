"""The daemon's parts, built: one object graph, nothing of it started yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from random import Random
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry

from lae_flapp.backup.care import BackupCare
from lae_flapp.backup.continuous import IBackup
from lae_flapp.costs.judging import priced_cell
from lae_flapp.desk.claims import load_cloud_keys
from lae_flapp.desk.front_desk import FrontDesk
from lae_flapp.desk.hosts import HostDesk
from lae_flapp.desk.operators.backups import Backups
from lae_flapp.desk.operators.cancelling import Cancelling
from lae_flapp.desk.operators.desk import OperatorDesk, Process
from lae_flapp.desk.operators.facet import operator_facet
from lae_flapp.desk.operators.rights import Rights
from lae_flapp.desk.tubs import (
    furl_of,
    keep_furl,
    new_name,
    serve_hosts,
    serve_operators,
    serving_tub,
    share_of_sites,
)
from lae_flapp.desk.wishes import Wishes
from lae_flapp.effects.bounded import bounded
from lae_flapp.flood import EVENTS, REGISTRATIONS, HourlyLimit
from lae_flapp.grid.crew import Crew
from lae_flapp.grid.dues import Dues
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.grid.ignition import load_renderer
from lae_flapp.grid.late_claims import LateClaims
from lae_flapp.grid.limits import limits_of
from lae_flapp.grid.lost_hosts import LostHosts
from lae_flapp.grid.workshop import LookedBack, Workshop
from lae_flapp.journal.capacity import quotas_of
from lae_flapp.journal.cells import cell_of
from lae_flapp.journal.copies import copies_of
from lae_flapp.journal.journal import Journal
from lae_flapp.life import telling
from lae_flapp.life.links import Links
from lae_flapp.life.looking import Subscriptions
from lae_flapp.life.times import Times
from lae_flapp.mail.letter_facts import LetterSources
from lae_flapp.mail.mailed import Mailed
from lae_flapp.mail.sending import Sending
from lae_flapp.money import payment
from lae_flapp.money.checkout.checkout import Checkout
from lae_flapp.money.checkout.selling import Selling
from lae_flapp.money.checkout.settlement import Settlement
from lae_flapp.money.inbox.intake import Intake
from lae_flapp.money.inbox.working_off import InboxWork
from lae_flapp.money.stripe import check
from lae_flapp.queue import Queue
from lae_flapp.restored.adoption import Adoption
from lae_flapp.restored.fencing import LOOKS, Fencing
from lae_flapp.restored.lives import Lives, name_this_life
from lae_flapp.restored.looking_back import LookingBack
from lae_flapp.restored.orders import StripeOrders
from lae_flapp.restored.reading_back import ReadingBack
from lae_flapp.rollout.rolling import RolloutWorker
from lae_flapp.rollout.storage_client import StorageClient
from lae_flapp.settings import DaemonSettings
from lae_flapp.signs import needs
from lae_flapp.signs.availability import Availability
from lae_flapp.signs.calls import CallFigures
from lae_flapp.signs.figures import DaemonFigures
from lae_flapp.signs.lost_keys import LostKeys
from lae_flapp.signs.notices import Notices
from lae_flapp.signs.registrations import Registrations
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.standing import DAY, Bounds, Causes
from lae_flapp.signs.vitals import Vitals
from lae_flapp.signs.watch import Watch
from lae_flapp.wiring.backing_up import BackingUp
from lae_flapp.wiring.doors import DaemonDoors
from lae_protocol.address import parse_address
from lae_protocol.furl import Furl
from lae_protocol.messages import Plan


@define(frozen=True, kw_only=True)
class DaemonParts:
    """What :mod:`.daemon` starts, looks at from time to time, and ends."""

    availability: Availability
    vitals: Vitals
    figures: DaemonFigures
    watch: Watch
    lost_keys: LostKeys
    notices: Queue[Any]
    crew: Crew
    lost_hosts: LostHosts
    late_claims: LateClaims
    settlement: Settlement
    events: Queue[Any]
    mails: Queue[Any]
    subscriptions: Subscriptions
    times: Times
    cancelling: Cancelling
    rollout: RolloutWorker
    reading_back: ReadingBack
    looking_back: LookingBack
    backups: Backups
    #: None where no backup is configured.
    care: BackupCare | None
    private_tub: Any
    hosts_tub: Any
    #: The first operator's; the journal must know it.
    operator_furl: Furl


def build(
    *,
    reactor: Any,
    rng: Random,
    settings: DaemonSettings,
    plans: tuple[Plan, ...],
    doors: DaemonDoors,
    journal: Journal,
    backing_up: BackingUp,
    calls: CallFigures,
    registry: CollectorRegistry,
    ahead: Callable[[], float],
    fenced: Callable[[], object],
) -> DaemonParts:
    """1. May customers come; 2. the routine that builds grids; 3. money; 4. the lives
    of subscriptions; 5. what a restored journal lacks; 6. mail; 7. the desks, each at
    its Tub; 8. what operators see.

    *ahead* is how far the machine's clock is ahead of the reactor's, in seconds;
    *fenced* ends a daemon whose deployment was recovered on another machine.
    """
    (cell,), stripe = settings.cells, doors.payments.payments
    wanted = check.wanted_of(settings, plans)
    release, quotas = version("s4"), quotas_of(cell)
    links = Links(doors.sealer, settings.site_url)

    availability = Availability(
        reactor,
        rng,
        partial(doors.cloud.caller.check_account, settings.aws.account),
        partial(doors.identities.check_canary, doors.vault),
        partial(stripe.calls.ask, "account", partial(check.look, wanted=wanted)),
        wanted,
    )
    snapshots = Snapshots(reactor, journal, settings.journal)
    registrations = Registrations(
        journal, snapshots, availability, reserve=settings.journal_reserve_mib << 20
    )
    lasting: Counter[str] = Counter()
    standing: Causes = {}
    vitals = Vitals(
        clock=reactor,
        release=release,
        environment=settings.environment,
        deployment=settings.deployment,
        started_at=reactor.seconds(),
        journal=journal,
        closed_because=registrations.closed_because,
        causes=lambda: lasting,
    )

    hosts_tub = serving_tub(
        reactor, settings.hosts_tub, settings.state / "hosts.pem", journal.is_live
    )
    host_furl = partial(furl_of, hosts_tub, settings.hosts_tub.location)
    shop = _workshop(
        reactor=reactor,
        rng=rng,
        settings=settings,
        doors=doors,
        journal=journal,
        new_bootstrap=lambda: host_furl(new_name("b")),
        backup=backing_up.door,
    )
    crew = Crew(shop, Dues(payment.give_back, telling.tell))
    lost_hosts = LostHosts(shop)
    late_claims = LateClaims(shop)
    furls = CustomerFurls(journal, doors.identities, doors.sealer)

    orders = bounded(
        StripeOrders(stripe.calls),
        "orders",
        reactor,
        seconds=shop.limits.call,
        together=shop.limits.together,
    )
    adoption = Adoption(shop, orders, plans, cell_of(settings))
    settlement = Settlement(shop, adoption.adopt)
    selling = Selling(
        plans,
        cell_of(settings),
        quotas,
        settings.site_url,
        ahead,
        settings.flood.unpaid_share,
        settings.stripe.checkout,
    )
    registering = HourlyLimit(
        reactor,
        "registrations",
        settings.flood.registrations_an_hour,
        REGISTRATIONS,
        registrations.is_short,
    )
    checkout = Checkout(
        journal, stripe, doors.sealer, settlement, selling, limit=registering
    )
    hinting = HourlyLimit(
        reactor,
        "Stripe's events",
        settings.flood.events_an_hour,
        EVENTS,
        registrations.is_short,
    )
    intake = Intake(journal)

    subscriptions = Subscriptions(shop)
    events = InboxWork(journal, settlement, subscriptions, rng).queue(reactor)
    cancelling = Cancelling(journal, checkout.expire_sessions)
    wishes = Wishes(
        journal,
        plans=plans,
        environment=settings.environment,
        ready_for_business=vitals.closed_because,
        links=links,
    )

    reading_back = ReadingBack(journal, stripe.hints_since, intake)
    looking_back = LookingBack(
        clock=reactor,
        rng=rng,
        fence=Fencing(shop, fenced),
        claim=Lives(shop, name_this_life()).claim,
        look=lost_hosts.look,
        read=reading_back.look,
        looked_back=shop.looked_back,
    )

    sending = Sending(
        journal,
        doors.mail,
        sources=LetterSources(furls, shop.payments.fetch_subscription, links),
        sender=doors.sender,
        operators=tuple(map(parse_address, settings.mail.operators)),
        mailed=Mailed(journal, shop.vault),
        rng=rng,
    )

    front_desk = FrontDesk(
        reactor,
        journal,
        checkout=checkout,
        settlement=settlement,
        intake=intake,
        wishes=wishes,
        furls=furls,
        pulse=vitals.pulse,
        hint_limit=hinting,
    )
    backups = Backups(copies_of(settings))
    location = settings.private_tub.location
    private_tub = serving_tub(
        reactor, settings.private_tub, settings.state / "private.pem", journal.is_live
    )
    operator_desk = OperatorDesk(
        shop=shop,
        process=Process(
            environment=settings.environment,
            release=release,
            started_at=datetime.now(UTC),
            canary_opened=lambda: availability.opened,
            closed_because=registrations.problem,
            needs=lambda lasting: needs.now(lasting, standing),
        ),
        rights=Rights(settings.operators, reactor),
        selling=selling,
        cancel=cancelling.cancel,
        expire_sessions=checkout.expire_sessions,
        new_furl=lambda: furl_of(private_tub, location, new_name("o")),
        back_up=backups.begin_or_tell,
        priced=priced_cell(settings),
    )
    host_desk = HostDesk(
        journal=journal,
        furls=furls,
        sealer=doors.sealer,
        s3_endpoint=cell.s3_endpoint,
        host_furl=host_furl,
        cloud_keys=load_cloud_keys(cell),
    )
    site_furl = keep_furl(
        settings.state / "front-desk.furl", private_tub, location, "f"
    )
    front_desk_facet = front_desk.facet(share_of_sites(reactor.seconds))
    private_tub.registerReference(front_desk_facet, site_furl.swissnum)
    operator_furl = keep_furl(
        settings.state / "operator.furl", private_tub, location, "o"
    )
    serve_operators(
        private_tub, partial(operator_facet, operator_desk), reactor.seconds
    )
    serve_hosts(hosts_tub, host_desk, reactor.seconds)

    quotas_by_cell: dict[tuple[str, str], int] = {
        (cell.name, quota): many for quota, many in quotas.items()
    }
    figures = DaemonFigures(
        registry, vitals, snapshots, quotas_by_cell, crew, backup=backing_up.seen
    )
    lost_keys = LostKeys(journal, doors.sealer.names, doors.identity_key_names)
    watch = Watch(
        clock=reactor,
        journal=journal,
        figures=figures,
        snapshots=snapshots,
        registrations=registrations,
        tallies=lambda: calls.tallies,
        strays=lambda: lost_hosts.strays,
        unclaimed=late_claims.words,
        quotas=quotas_by_cell,
        bounds=Bounds(
            away=settings.patience.operator_alert,
            late=settings.patience.unserved_alert,
            disk=4 * registrations.reserve,
            image=settings.image_old_after_days * DAY,
        ),
        probe=availability.probe,
        ahead=ahead,
        unopened=lambda: lost_keys.rows,
        backup=backing_up.seen,
        limits={"registrations": registering, "events of Stripe's": hinting},
        lasting=lasting,
        standing=standing,
    )
    notices = Notices(
        journal,
        doors.mail,
        sender=doors.sender,
        operators=tuple(map(parse_address, settings.mail.operators)),
        deployment=settings.deployment,
        rng=rng,
    )
    return DaemonParts(
        availability=availability,
        vitals=vitals,
        figures=figures,
        watch=watch,
        lost_keys=lost_keys,
        notices=notices.queue(reactor),
        crew=crew,
        lost_hosts=lost_hosts,
        late_claims=late_claims,
        settlement=settlement,
        events=events,
        mails=sending.queue(reactor),
        subscriptions=subscriptions,
        times=Times(shop, subscriptions),
        cancelling=cancelling,
        rollout=RolloutWorker(
            journal, StorageClient(reactor, journal, furls, shop.cells).fails
        ),
        reading_back=reading_back,
        looking_back=looking_back,
        backups=backups,
        care=backing_up.care,
        private_tub=private_tub,
        hosts_tub=hosts_tub,
        operator_furl=operator_furl,
    )


def _workshop(
    *,
    reactor: Any,
    rng: Random,
    settings: DaemonSettings,
    doors: DaemonDoors,
    journal: Journal,
    new_bootstrap: Callable[[], Furl],
    backup: IBackup,
) -> Workshop:
    """Build what all workers share, each door with its gate and deadline."""
    limits = limits_of(settings)
    bind = partial(
        bounded, clock=reactor, seconds=limits.call, together=limits.together
    )
    return Workshop(
        journal=journal,
        clock=reactor,
        buckets=bind(doors.cloud.buckets, "buckets"),
        roles=bind(doors.cloud.roles, "roles"),
        hosts=bind(doors.cloud.hosts, "hosts"),
        addresses=bind(doors.addresses, "addresses"),
        vault=bind(doors.vault, "vault"),
        identities=bind(doors.identities, "identities"),
        payments=bind(doors.payments.payments, "payments"),
        sealer=doors.sealer,
        render_user_data=load_renderer(settings.aws, settings.cells[0]),
        new_bootstrap=new_bootstrap,
        cells={cell.name: cell for cell in settings.cells},
        deployment=settings.deployment,
        livemode=settings.stripe.mode == "live",
        limits=limits,
        random=rng,
        backup=backup,
        # Nothing is launched before the first looks at bucket and cloud.
        looked_back=LookedBack(
            done=False,
            unfenced_at=float("-inf"),
            unfenced_for=float(LOOKS * settings.patience.watch),
        ),
    )
