"""The server: the door as a home of the vendor's, below /netatmo/ of the HTTPS listener."""

from __future__ import annotations

import logging
from functools import partial

import trio

from agent.model.errors import AgentError, PeerError
from agent.net.trust import client_context
from agent.runtime import Context
from agent.workers.netatmo.access import Grants
from agent.workers.netatmo.config import ServerConfig
from agent.workers.netatmo.desk import Desk
from agent.workers.netatmo.destination import Rule
from agent.workers.netatmo.doorman import Doorman
from agent.workers.netatmo.home import Home, load_identity
from agent.workers.netatmo.limits import Guesses, Usage
from agent.workers.netatmo.oauth_server import OAuthServer
from agent.workers.netatmo.push_body import Bodies
from agent.workers.netatmo.pushes import Pushes
from agent.workers.netatmo.rest import Methods, RestApp
from agent.workers.netatmo.subscribers import Subscribers
from agent.workers.netatmo.webhooks import Webhooks

PATH = "/netatmo"
SHOW_EVERY_S = 5.0

logger = logging.getLogger(__name__)


async def serve(
    config: ServerConfig,
    context: Context,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve Netatmo clients for ever; started() is called when the door's HTTPS listener is bound.

    Raises: PeerError when it cannot be, or the state directory not be used; ConfigError for a secret.
    Cancellation: what is asked from then on is answered with 503; pushes that wait are not sent.
    """
    try:
        identity = await load_identity(context.state_dir)
    except PeerError:
        raise
    except AgentError as error:
        raise PeerError(str(error)) from error
    home = Home(config, context, identity)
    grants = Grants(context, config)
    await grants.load()
    guesses = Guesses()
    oauth = OAuthServer(config, grants, guesses)
    await oauth.load()
    subscribers = Subscribers(
        context.state_dir,
        Rule(config.networks()),
        guard=context.guard,
        most=config.max_webhooks,
        secret_of=oauth.secret_of,
        make_tls=partial(
            client_context,
            ca_file=config.webhook_ca_file,
            fingerprint=None,
            where="workers.netatmo.server.webhook_ca_file",
        ),
    )
    bodies = Bodies(home, config.siren_prefix)
    pushes = Pushes(config, context, home, grants, subscribers, bodies)
    doorman = Doorman(context, grants, Usage(config.per_10_s, config.per_hour), guesses)
    app = RestApp(Methods(context, home, doorman, oauth), Webhooks(doorman, subscribers, bodies))
    async with trio.open_nursery() as nursery:
        await nursery.start(subscribers.run, grants.listed())
        await nursery.start(pushes.run)
        try:
            url = await context.mount(PATH, app)
            logger.info("serving url=%s home=%s modules=%d", url, identity.home_id, len(home.modules))
            Desk(context, home, grants, oauth, subscribers, url)
            context.ready("netatmo", url)
            nursery.start_soon(_show, context, grants, subscribers, pushes, doorman)
            task_status.started()
            await trio.sleep_forever()
        finally:
            app.close()


async def _show(
    context: Context, grants: Grants, subscribers: Subscribers, pushes: Pushes, doorman: Doorman
) -> None:
    """Keep the figures on the status page, for ever."""
    while True:
        context.page("tokens", len(grants.listed()))
        context.page("bad_tokens", doorman.bad_tokens)
        context.page("webhooks", len(subscribers.all))
        context.page("webhooks_banned", sum(1 for each in subscribers.all.values() if each.banned_s))
        context.page("events_missed", pushes.missed)
        await trio.sleep(SHOW_EVERY_S)
