export default function Page() {
  return <p>made by the build</p>;
}
