'use strict';
// Opens ports on the router by running the command `portmapper` and reading the JSON it prints, one object a line.
// The functions are those of the npm package `pmp`, and a few more; see README.md.

const { spawn } = require('node:child_process');
const readline = require('node:readline');

// The exit codes of the command, for when it ends without an error object.
const NAMES = { 2: 'InvalidRequest', 3: 'NoGateway', 4: 'NoService', 5: 'NoService', 6: 'InUseLocally' };
const COMPLAINT = 10000; // characters of standard error that are kept

/** What the command could not do: `name` is that of its exception, `reasons` what each protocol said. */
class PortMapperError extends Error {
  constructor(name, message, { exitCode = null, reasons = {} } = {}) {
    super(message);
    this.name = name;
    this.exitCode = exitCode;
    this.reasons = reasons;
  }
}

const running = new Set();
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

function endAll() {
  for (const child of running) child.kill('SIGTERM'); // it closes its ports, and ends
}

// A signal that nobody else handles ends this program without 'exit': end what runs, and let it.
function pass(signal) {
  endAll();
  if (process.listenerCount(signal) > 1) return;
  process.removeListener(signal, pass);
  process.kill(process.pid, signal);
}

process.on('exit', endAll);

function begun(child) {
  if (running.size === 0) for (const signal of SIGNALS) process.on(signal, pass);
  running.add(child);
}

/** Forget a child that has ended; false if it was forgotten before. */
function ended(child) {
  if (!running.delete(child)) return false;
  if (running.size === 0) for (const signal of SIGNALS) process.removeListener(signal, pass);
  return true;
}

/** Run the command; `onObject` gets each object it prints, `onEnd` the error (or null) once it has ended. */
function run(command, words, onObject, onEnd) {
  const child = spawn(command[0], [...command.slice(1), ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let failure = null;
  let complaint = '';
  let interrupted = false;
  begun(child);
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaint = (complaint + text).slice(0, COMPLAINT);
  });
  const lines = readline.createInterface({ input: child.stdout });
  const read = new Promise((resolve) => lines.once('close', resolve));
  lines.on('line', (line) => {
    const object = JSON.parse(line);
    if (object.event === 'error') failure = object;
    else onObject(object);
  });
  child.once('error', (error) => {
    ended(child);
    onEnd(new PortMapperError('CommandNotFound', `${command[0]} cannot be run: ${error.message}`));
  });
  child.once('close', async (exitCode) => {
    await read; // its last lines
    if (!ended(child)) return; // it never began
    onEnd(exitCode === 0 || interrupted ? null : errorOf(failure, exitCode, complaint));
  });
  return {
    /** Have it close its ports and end. */
    interrupt() {
      interrupted = true;
      child.kill('SIGINT');
    },
  };
}

function errorOf(failure, exitCode, complaint) {
  if (failure !== null) {
    return new PortMapperError(failure.error, failure.message, { exitCode, reasons: failure.reasons });
  }
  return new PortMapperError(NAMES[exitCode] ?? 'PortMapperError', complaint.trim() || `exit code ${exitCode}`, {
    exitCode,
  });
}

function granted(object) {
  return {
    externalIP: object.external.address,
    privatePort: object.internal.port,
    publicPort: object.external.port,
    ttl: object.lifetime,
    portMappingInitialized: null, // the command does not say
    gateway: object.gateway,
    error: '',
  };
}

function failed(error, gateway) {
  return { gateway: gateway || null, error: error.message };
}

function checkFunction(name, value) {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function`);
}

function portWords(localPort, externalPort, protocol) {
  return `${localPort}${externalPort ? `:${externalPort}` : ''}/${protocol}`;
}

/** Run a command that prints one object and ends; call back once. */
function once(command, words, gateway, resultOf, callback) {
  checkFunction('callback', callback);
  let result = null;
  run(
    command,
    words,
    (object) => {
      result = resultOf(object);
    },
    (error) => callback(error, error === null ? result : failed(error, gateway)),
  );
}

/** A port that is kept open until stop() or the end of the program. */
class Persistent {
  constructor(command, words, gateway, callback, onMapping) {
    this.current = null; // what the router grants now
    this._closed = null;
    this._ended = null;
    this._waiting = [];
    this._tellOnce = (error, result) => {
      this._tellOnce = () => {};
      callback(error, result);
    };
    this._onMapping = onMapping;
    this._gateway = gateway;
    this._child = run(command, words, (object) => this._take(object), (error) => this._end(error));
  }

  /** Close the port; `callback(error, result)` is called when that is done. */
  stop(callback = () => {}) {
    checkFunction('callback', callback);
    if (this._ended !== null) {
      setImmediate(callback, null, this._ended);
      return;
    }
    this._waiting.push(callback);
    this._child.interrupt();
  }

  _take(object) {
    if (object.event === 'mapped' || object.event === 'changed') {
      this._reach(granted(object));
      this._tellOnce(null, this.current);
    } else if (object.event === 'lost' || object.event === 'closed') {
      if (object.event === 'closed') this._closed = object;
      this._reach(null);
    }
  }

  _reach(result) {
    if (result === null && this.current === null) return;
    this.current = result;
    setImmediate(this._onMapping, result);
  }

  _end(error) {
    const reason = error ?? new PortMapperError('MapperClosed', 'it was stopped before the port was open');
    this._tellOnce(reason, failed(reason, this._gateway));
    this._reach(null);
    // What is left on a router that is dead: for how many seconds, null for good.
    this._ended = { released: this._closed?.released ?? true, remaining: this._closed?.remaining ?? 0, error: '' };
    for (const callback of this._waiting) callback(null, this._ended);
  }
}

/**
 * The functions, with the command to run, its further options (`--simulate`, `--backend` ...) and the protocol.
 */
function create({ command = ['portmapper'], options = [], protocol = 'tcp' } = {}) {
  const words = (name, gateway, ...more) => [
    name, '--json', ...(gateway ? ['--gateway', gateway] : []), ...options, ...more,
  ];

  const functions = {
    /** Ask for the external address: callback(error, { externalIP, gateway, error }). */
    getExternalAddress(gateway, callback) {
      const resultOf = (object) => ({ externalIP: object.address, gateway: object.gateway, error: '' });
      once(command, words('address', gateway), gateway, resultOf, callback);
    },

    /** Map a port for `ttl` seconds, and leave it at that. */
    portMap(gateway, localPort, externalPort, ttl, callback) {
      const port = portWords(localPort, externalPort, protocol);
      once(command, words('map', gateway, '--once', '--lifetime', `${ttl}`, '--', port), gateway, granted, callback);
    },

    /** Remove what portMap, or a program that crashed, left on the router. */
    portUnmap(gateway, localPort, externalPort, callback) {
      const resultOf = (object) => ({
        privatePort: localPort, publicPort: externalPort, ttl: 0, gateway: object.gateway, error: '',
      });
      const port = portWords(localPort, externalPort, protocol);
      once(command, words('unmap', gateway, '--', port), gateway, resultOf, callback);
    },

    /**
     * Keep a port open. `callback` is called once; `onMapping(result)` whenever it is reached at another place, also the
     * first, and onMapping(null) when it is lost or closed. The program stays alive until stop().
     */
    persistent(gateway, localPort, externalPort, ttl, callback, { onMapping = () => {} } = {}) {
      checkFunction('callback', callback);
      checkFunction('onMapping', onMapping);
      const port = portWords(localPort, externalPort, protocol);
      const all = words('map', gateway, '--lifetime', `${ttl}`, '--', port);
      return new Persistent(command, all, gateway, callback, onMapping);
    },
  };

  const promised = (name) => (...given) =>
    new Promise((resolve, reject) => {
      functions[name](...given, (error, result) => (error === null ? resolve(result) : reject(error)));
    });

  /** The same as promises; what `persistent` resolves to has `current` and `stop()`, which is a promise too. */
  const promises = {
    getExternalAddress: promised('getExternalAddress'),
    portMap: promised('portMap'),
    portUnmap: promised('portUnmap'),
    persistent(gateway, localPort, externalPort, ttl, more) {
      return new Promise((resolve, reject) => {
        const told = (error) => (error === null ? resolve(handle) : reject(error));
        const kept = functions.persistent(gateway, localPort, externalPort, ttl, told, more);
        const handle = {
          get current() {
            return kept.current;
          },
          stop: () => new Promise((stopped) => kept.stop((_, result) => stopped(result))),
        };
      });
    },
  };

  return { ...functions, promises };
}

module.exports = { ...create(), create, PortMapperError };
