/** The options of the mariadb connector for a server. */
export function mariadbOptionsOf(url: string) {
  const { hostname: host, port, username: user, password, pathname } = new URL(url);
  return {
    host,
    port: Number(port),
    user,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    allowPublicKeyRetrieval: true,
  };
}
