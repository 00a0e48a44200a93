/** A kind of database server that the tests can start. */
export type ServerName = "postgres" | "mysql" | "mariadb";

export const serverNames: readonly ServerName[] = ["postgres", "mysql", "mariadb"];

/** A server that answers. */
export interface Running {
  readonly url: string;
  /** Process id of the server, or null when a container holds it. */
  readonly pid: number | null;
  readonly port: number;
  /** Name of the container that holds it, or null. */
  readonly container: string | null;
}

export interface StartOptions {
  /** Everything of this server lives below it: data, socket, log. Made when missing, kept when the server stops. */
  readonly directory: string;
  /** Loopback port; a free one is chosen when it is not given. */
  readonly port?: number;
}

/** Where the programs of a server come from. */
export interface Programs {
  /** Debian packages to install with apt-get when the programs are missing. Empty: `fetch` does it. */
  readonly packages: readonly string[];
  /** Where to look for them, the first folder that has them counts. */
  folders(): readonly string[];
  /** Brings the programs without touching the machine's packages. */
  fetch?(): Promise<void>;
}

/** What differs between the servers: how their programs are found, and how one is started. */
export interface Engine {
  readonly name: ServerName;
  readonly programs: Programs;
  /** The folder of its programs, or null when they are not on this machine. */
  find(): string | null;
  /** Starts a server with durable settings and waits until it answers. */
  start(options: StartOptions): Promise<Running>;
  readonly image: {
    /** Without its tag. */
    readonly name: string;
    /** The tag when no version is asked for. */
    readonly tag: string;
    readonly port: number;
    environment(password: string): string[];
    url(port: number, password: string): string;
  };
}
